// SPDX-License-Identifier: MIT
// IQ1_S: blocks of 256. Eight elements are a point of a grid of -1, 0 and 1, eleven bits of which the high three lie
// apart, behind each other in a half-word; above them are a 3-bit scale and the sign of what is added to all:
// weight = d * (2 * scale + 1) * (q - 1 +- 1/8).
#define SUBGROUPS 1
#include "decode/points.cl"

constant ushort iq1_s_grid[2048] = {
#include "decode/iq1_s_grid.cl"
};

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const lanes_u low = load_words(OF_GROUP(points));
  const lanes_u high = load_shorts(OF_GROUP(high_points));
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u place = ((low >> (8 * i)) & 255u) | (((high >> (3 * i)) & 7u) << 8);
    const lanes_u point = GATHER(iq1_s_grid, place);
    q[2 * i] = four_pairs(point);
    q[2 * i + 1] = four_pairs(point >> 8);
  }
  scale[0] = load_halves(OF_BLOCK(d)) * TO_SCALE(2u * ((high >> 12) & 7u) + 1u);
  offset[0] = scale[0] * (-0.875f - 0.25f * TO_SCALE(high >> 15));
}
