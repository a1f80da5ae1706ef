// SPDX-License-Identifier: MIT
// Q4_1: 32 elements, weight = d * q + m.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  scale[0] = load_halves(OF_BLOCK(d));
  offset[0] = load_halves(OF_BLOCK(m));
}
