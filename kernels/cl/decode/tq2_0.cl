// SPDX-License-Identifier: MIT
// TQ2_0: blocks of 256, weight = d * (q - 1).
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_pairs(OF_GROUP(pairs), q);
  scale[0] = load_halves(OF_BLOCK(d));
  offset[0] = -scale[0];
}
