// SPDX-License-Identifier: MIT
// Q6_0: 32 elements, weight = d * (q - 32).
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  add_pairs(OF_GROUP(pairs), q);
  scale[0] = load_halves(OF_BLOCK(d));
  offset[0] = -32.0f * scale[0];
}
