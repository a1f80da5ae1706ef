// SPDX-License-Identifier: MIT
// IQ3_S: blocks of 256. Four elements are a point of a grid of four values, nine bits of which the highest lies apart,
// and four signs. A 4-bit scale every 32: weight = d * (2 * scale + 1) * (q - 16).
#define SUBGROUPS 1
#include "decode/points.cl"

constant ushort iq3_s_grid[512] = {
#include "decode/iq3_s_grid.cl"
};

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const lanes_u signs = load_words(OF_GROUP(signs));
  const lanes_u high = load_bytes(OF_GROUP(high_points));
  const lanes_u scales = load_bytes(OF_BLOCK(scales) + 16 * (group % 8 / 2)) >> (4 * (group % 2));
  const lanes_f d = load_halves(OF_BLOCK(d));
#pragma unroll
  for (uint i = 0; i < 8; ++i) {
    const lanes_u low = (load_words(OF_GROUP(points) + 64 * (i / 4)) >> (8 * (i % 4))) & 255u;
    const lanes_u place = low | (((high >> i) & 1u) << 8);
    const lanes_u point = GATHER(iq3_s_grid, place);
    q[i] = add_signs(four_values(point), signs >> (4 * i), 16);
  }
  scale[0] = d * TO_SCALE(2u * (scales & 15u) + 1u);
  offset[0] = -16.0f * scale[0];
}
