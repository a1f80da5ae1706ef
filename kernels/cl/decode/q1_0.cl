// SPDX-License-Identifier: MIT
// Q1_0: blocks of 128, weight = d * (2 * q - 1).
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
#pragma unroll
  for (uint j = 0; j < 8; ++j) q[j] = 0;
  add_bits(OF_GROUP(bits), 0, q);
  const lanes_f d = load_halves(OF_BLOCK(d));
  scale[0] = 2.0f * d;
  offset[0] = -d;
}
