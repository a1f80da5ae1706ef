// SPDX-License-Identifier: MIT
// Q5_0: 32 elements, weight = d * (q - 16).
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  add_bits(OF_GROUP(bits), 4, q);
  scale[0] = load_halves(OF_BLOCK(d));
  offset[0] = -16.0f * scale[0];
}
