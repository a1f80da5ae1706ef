// SPDX-License-Identifier: MIT
// IQ2_XXS: blocks of 256. A group of 32 is two words: four points of a grid of eight values each, and four times seven
// signs (the eighth makes their number even) below a 4-bit scale: weight = d * (scale + 0.5) / 4 * (q - 64).
#define SUBGROUPS 1
#include "decode/points.cl"

constant ushort iq2_xxs_grid[256] = {
#include "decode/iq2_xxs_grid.cl"
};

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const lanes_u points = load_words(OF_GROUP(words));
  const lanes_u word = load_words(OF_GROUP(words) + 64);
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u place = (points >> (8 * i)) & 255u;
    eight_values(GATHER(iq2_xxs_grid, place), eight_signs(word, 7 * i), q + 2 * i);
  }
  scale[0] = load_halves(OF_BLOCK(d)) * (TO_SCALE(word >> 28) + 0.5f) * 0.25f;
  offset[0] = -64.0f * scale[0];
}
