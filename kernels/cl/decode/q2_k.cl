// SPDX-License-Identifier: MIT
// Q2_K: blocks of 256, weight = d * scale * q - m * minimum, scale and minimum the nibbles of one byte every 16.
// Regions: pairs of bits 64 bytes a row, scales and minima 16, d 2, m 2.
#define SUBGROUPS 2

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint block = group / 8;
  const uint blocks = groups / 8;
  load_pairs(tile + 128 * group, q);
  const lanes_u packed = load_shorts(tile + 128 * groups + 32 * group);
  const global uchar *halves = tile + 160 * groups + 32 * block;
  const lanes_f d = load_halves(halves);
  const lanes_f m = -load_halves(halves + 32 * blocks);
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * TO_SCALE((packed >> (8 * i)) & 15u);
    offset[i] = m * TO_SCALE((packed >> (8 * i + 4)) & 15u);
  }
}
