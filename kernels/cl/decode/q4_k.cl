// SPDX-License-Identifier: MIT
// Q4_K: blocks of 256, weight = d * scale * q - m * minimum, both of 6 bits, every 32.
// Regions: nibbles 128 bytes a row, scales and minima 12, d 2, m 2.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint block = group / 8;
  const uint blocks = groups / 8;
  load_nibbles(tile + 256 * group, q);
  lanes_u s;
  lanes_u minimum;
  load_six_bits(tile + 256 * groups + 192 * block, group % 8, &s, &minimum);
  const global uchar *halves = tile + 256 * groups + 192 * blocks + 32 * block;
  scale[0] = load_halves(halves) * TO_SCALE(s);
  offset[0] = -load_halves(halves + 32 * blocks) * TO_SCALE(minimum);
}
