// SPDX-License-Identifier: MIT
// IQ4_NL: 32 elements, weight = d * (table[q] - 127). Regions: nibbles 16 bytes a row, d 2.
// The table: -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113, each plus 127.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(tile + 256 * group, q);
  look_up((uint4)(0x3e2c1700u, 0x75695c4eu, 0xa5988c80u, 0xf0d8c4b4u), q);
  scale[0] = load_halves(tile + 256 * groups + 32 * group);
  offset[0] = -127.0f * scale[0];
}
