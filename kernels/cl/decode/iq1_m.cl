// SPDX-License-Identifier: MIT
// IQ1_M: blocks of 256. Eight elements are a point of IQ1_S's grid and a sign of what is added to all eight, four bits of
// a byte beside the point's low ones. 3-bit scales every 16, two of them a 6-bit number:
// weight = d * (2 * scale + 1) * (point +- 1/8) = d / 8 * (2 * scale + 1) * (q - 9).
#define SUBGROUPS 2
#include "decode/points.cl"

constant ushort iq1_m_grid[2048] = {
#include "decode/iq1_s_grid.cl"
};

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
  const lanes_u low = load_words(OF_GROUP(points));
  const lanes_u high = load_shorts(OF_GROUP(high_points));
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u place = ((low >> (8 * i)) & 255u) | (((high >> (4 * i)) & 7u) << 8);
    const lanes_u point = GATHER(iq1_m_grid, place);
    // 8 * (point + 1), and 2 more where an eighth is added instead of subtracted.
    const lanes_u more = (((~high >> (4 * i + 3)) & 1u) * 2u) * 0x01010101u;
    q[2 * i] = four_pairs(point) * 8u + more;
    q[2 * i + 1] = four_pairs(point >> 8) * 8u + more;
  }
  const lanes_u low_scales = load_bytes(OF_BLOCK(scales) + 16 * (part / 2)) >> (4 * (part % 2));
  const lanes_u high_scales = load_shorts(OF_BLOCK(high_scales)) >> (2 * part);
  const lanes_u scales = (low_scales & 15u) | ((high_scales & 3u) << 4);
  const lanes_f d = load_halves(OF_BLOCK(d)) * 0.125f;
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * TO_SCALE(2u * ((scales >> (3 * i)) & 7u) + 1u);
    offset[i] = -9.0f * scale[i];
  }
}
