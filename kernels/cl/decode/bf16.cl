// SPDX-License-Identifier: MIT
// BF16: a plane of 32 bytes a column; the upper half of a float.
#define FLOAT_WEIGHTS

inline lanes_f decode_float(const global uchar *tile, uint column) {
  return AS_LANES_F(load_shorts(tile + 32 * column) << 16);
}
