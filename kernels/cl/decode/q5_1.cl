// SPDX-License-Identifier: MIT
// Q5_1: 32 elements, weight = d * q + m. Regions: nibbles 16 bytes a row, fifth bits 4, d 2, m 2.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(tile + 256 * group, q);
  add_bits(tile + 256 * groups + 64 * group, 4, q);
  scale[0] = load_halves(tile + 320 * groups + 32 * group);
  offset[0] = load_halves(tile + 352 * groups + 32 * group);
}
