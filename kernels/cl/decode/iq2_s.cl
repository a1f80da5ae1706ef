// SPDX-License-Identifier: MIT
// IQ2_S: blocks of 256. Eight elements are a point of a grid of eight values, ten bits that lie apart, and eight signs.
// 4-bit scales every 16: weight = d * (scale + 0.5) / 4 * (q - 64).
#define SUBGROUPS 2
#include "decode/points.cl"

constant ushort iq2_s_grid[1024] = {
#include "decode/iq2_s_grid.cl"
};

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const lanes_u low = load_words(OF_GROUP(points));
  const lanes_u signs = load_words(OF_GROUP(signs));
  const lanes_u high = load_bytes(OF_GROUP(high_points));
  const lanes_u scales = load_bytes(OF_GROUP(scales));
  const lanes_f d = load_halves(OF_BLOCK(d)) * 0.25f;
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u place = ((low >> (8 * i)) & 255u) | (((high >> (2 * i)) & 3u) << 8);
    eight_values(GATHER(iq2_s_grid, place), signs >> (8 * i), q + 2 * i);
  }
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * (TO_SCALE((scales >> (4 * i)) & 15u) + 0.5f);
    offset[i] = -64.0f * scale[i];
  }
}
