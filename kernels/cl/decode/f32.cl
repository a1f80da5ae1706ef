// SPDX-License-Identifier: MIT
// F32: a plane of 64 bytes a column.
#define FLOAT_WEIGHTS

inline lanes_f decode_float(const global uchar *tile, uint column) {
  return AS_LANES_F(load_words(tile + 64 * column));
}
