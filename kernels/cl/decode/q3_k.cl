// SPDX-License-Identifier: MIT
// Q3_K: blocks of 256, weight = d * (scale - 32) * (q - 4), a 6-bit scale every 16.
// Regions: pairs of bits 64 bytes a row, third bits 32, scales 12, d 2.
#define SUBGROUPS 2

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint block = group / 8;
  const uint blocks = groups / 8;
  load_pairs(tile + 128 * group, q);
  add_bits(tile + 128 * groups + 64 * group, 2, q);
  lanes_u parts[2];
  load_six_bits(tile + 192 * groups + 192 * block, group % 8, &parts[0], &parts[1]);
  const lanes_f d = load_halves(tile + 192 * groups + 192 * blocks + 32 * block);
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * (TO_SCALE(parts[i]) - 32.0f);
    offset[i] = -4.0f * scale[i];
  }
}
