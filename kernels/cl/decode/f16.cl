// SPDX-License-Identifier: MIT
// F16: a plane of 32 bytes a column.
#define FLOAT_WEIGHTS

inline lanes_f decode_float(const global uchar *tile, uint column) {
  return load_halves(tile + 32 * column);
}
