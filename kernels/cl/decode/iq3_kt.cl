// SPDX-License-Identifier: MIT
// IQ3_KT: a float d a row, blocks of 256, weight = d * scale * (q - 126), a 4-bit scale every 32. Eight elements follow
// from 16 bits, and each has a sign of its own instead of the one that follows.
#define SUBGROUPS 1
#include "decode/trellis.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
  const lanes_u bits = load_words(OF_GROUP(bits));
#pragma unroll
  for (uint i = 0; i < 8; ++i) q[i] = 0;
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u word = load_words(OF_GROUP(points) + 64 * (i / 2)) >> (16 * (i % 2));
    lanes_u number = (word & 0xffffu) + TRELLIS_FIRST;
#pragma unroll
    for (uint e = 0; e < 8; ++e) {
      const lanes_u next = next_element(&number);
      const lanes_u above = max(next, 252u - next);
      const lanes_u sign = (bits >> (8 * (e % 4) + 2 * i + e / 4)) & 1u;
      q[2 * i + e / 4] |= (above + sign * (252u - 2u * above)) << (8 * (e % 4));
    }
  }
  const lanes_u code = (load_bytes(OF_BLOCK(scales) + 16 * (part % 4)) >> (4 * (part / 4))) & 15u;
  scale[0] = AS_LANES_F(load_words(ROW_SCALES)) * TO_SCALE(code);
  offset[0] = -TRELLIS_ZERO * scale[0];
}
