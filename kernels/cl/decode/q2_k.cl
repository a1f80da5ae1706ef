// SPDX-License-Identifier: MIT
// Q2_K: blocks of 256, weight = d * scale * q - m * minimum, scale and minimum the nibbles of one byte every 16.
#define SUBGROUPS 2

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_pairs(OF_GROUP(pairs), q);
  const lanes_u packed = load_shorts(OF_GROUP(scales));
  const lanes_f d = load_halves(OF_BLOCK(d));
  const lanes_f m = -load_halves(OF_BLOCK(m));
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * TO_SCALE((packed >> (8 * i)) & 15u);
    offset[i] = m * TO_SCALE((packed >> (8 * i + 4)) & 15u);
  }
}
