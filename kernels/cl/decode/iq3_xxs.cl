// SPDX-License-Identifier: MIT
// IQ3_XXS: blocks of 256. A group of 32 is eight points of a grid of four values each, and a word of four times seven
// signs (the eighth makes their number even) below a 4-bit scale: weight = d * (scale + 0.5) / 2 * (q - 64).
#define SUBGROUPS 1
#include "decode/points.cl"

constant ushort iq3_xxs_grid[256] = {
#include "decode/iq3_xxs_grid.cl"
};

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const lanes_u word = load_words(OF_GROUP(words));
#pragma unroll
  for (uint i = 0; i < 8; ++i) {
    const lanes_u place = (load_words(OF_GROUP(points) + 64 * (i / 4)) >> (8 * (i % 4))) & 255u;
    const lanes_u point = GATHER(iq3_xxs_grid, place);
    const lanes_u quarter = four_values(point);
    // The largest value is 62, and its quarter was rounded down.
    const lanes_u values = 4u * quarter + (((quarter + 0x01010101u) & 0x10101010u) >> 3);
    q[i] = add_signs(values, eight_signs(word, 7 * (i / 2)) >> (4 * (i % 2)), 64);
  }
  scale[0] = load_halves(OF_BLOCK(d)) * (TO_SCALE(word >> 28) + 0.5f) * 0.5f;
  offset[0] = -64.0f * scale[0];
}
