// SPDX-License-Identifier: MIT
// IQ2_XS: blocks of 256. Eight elements are 16 bits: nine say which point of a grid of eight values, seven are signs
// (the eighth makes their number even). 4-bit scales every 16: weight = d * (scale + 0.5) / 4 * (q - 64).
#define SUBGROUPS 2
#include "decode/points.cl"

constant ushort iq2_xs_grid[512] = {
#include "decode/iq2_xs_grid.cl"
};

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const lanes_u scales = load_bytes(OF_GROUP(scales));
  const lanes_f d = load_halves(OF_BLOCK(d)) * 0.25f;
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u word = load_words(OF_GROUP(words) + 64 * (i / 2)) >> (16 * (i % 2));
    const lanes_u place = word & 511u;
    eight_values(GATHER(iq2_xs_grid, place), eight_signs(word, 9), q + 2 * i);
  }
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * (TO_SCALE((scales >> (4 * i)) & 15u) + 0.5f);
    offset[i] = -64.0f * scale[i];
  }
}
