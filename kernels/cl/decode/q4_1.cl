// SPDX-License-Identifier: MIT
// Q4_1: 32 elements, weight = d * q + m. Regions: nibbles 16 bytes a row, d 2, m 2.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(tile + 256 * group, q);
  scale[0] = load_halves(tile + 256 * groups + 32 * group);
  offset[0] = load_halves(tile + 288 * groups + 32 * group);
}
