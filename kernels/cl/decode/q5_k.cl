// SPDX-License-Identifier: MIT
// Q5_K: as Q4_K with a fifth bit.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  add_bits(OF_GROUP(bits), 4, q);
  lanes_u s;
  lanes_u minimum;
  load_six_bits(OF_GROUP(scales), OF_BLOCK(high_scales), group % 8, &s, &minimum);
  scale[0] = load_halves(OF_BLOCK(d)) * TO_SCALE(s);
  offset[0] = -load_halves(OF_BLOCK(m)) * TO_SCALE(minimum);
}
