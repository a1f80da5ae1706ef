// SPDX-License-Identifier: MIT
// IQ2_XXS: blocks of 256. A group of 32 is two words: four points of a grid of eight values each, and four times seven
// signs (the eighth makes their number even) below a 4-bit scale: weight = d * (scale + 0.5) / 4 * (q - 64).
// Regions: words 64 bytes a row, d 2.
#define SUBGROUPS 1

constant ushort iq2_xxs_grid[256] = {
#include "decode/iq2_xxs_grid.cl"
};

// Four values of two bits each and their signs, plus 64. Negative ones as 127 - (63 + value): no byte borrows.
inline lanes_u grid_values(lanes_u point, lanes_u signs) {
  const lanes_u code = (point & 3u) | ((point & 12u) << 6) | ((point & 48u) << 12) | ((point & 192u) << 18);
  const lanes_u value = 0x08080808u + code * 17u + ((code >> 1) & 0x01010101u);
  const lanes_u negative = ((signs & 15u) * 0x00204081u) & 0x01010101u;
  return (value + 0x3f3f3f3fu + (negative ^ 0x01010101u)) ^ (negative * 127u);
}

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const lanes_u points = load_words(tile + 128 * group);
  const lanes_u word = load_words(tile + 128 * group + 64);
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u place = (points >> (8 * i)) & 255u;
    const lanes_u point = GATHER(iq2_xxs_grid, place);
    lanes_u signs = (word >> (7 * i)) & 127u;
    const lanes_u folded = signs ^ (signs >> 4);
    signs |= (((lanes_u)(0x6996u) >> (folded & 15u)) & 1u) << 7;
    q[2 * i] = grid_values(point, signs);
    q[2 * i + 1] = grid_values(point >> 8, signs >> 4);
  }
  scale[0] = load_halves(tile + 128 * groups + 32 * (group / 8)) * (TO_SCALE(word >> 28) + 0.5f) * 0.25f;
  offset[0] = -64.0f * scale[0];
}
