// SPDX-License-Identifier: MIT
// IQ1_KT: a float d a row, blocks of 256, weight = d * scale * (q - 126), a 4-bit scale every 32. Eight elements follow
// from 13 bits: a byte, four bits that lie apart, and one above the scale.
#define SUBGROUPS 1
#include "decode/trellis.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
  const lanes_u low = load_words(OF_GROUP(points));
  const lanes_u high = load_words(OF_BLOCK(high_points) + 64 * (part % 4)) >> (4 * (part / 4));
  const lanes_u code = load_bytes(OF_GROUP(scales));
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u above = (((high >> (8 * i)) & 15u) << 8) | (((code >> (4 + i)) & 1u) << 12);
    lanes_u number = (((low >> (8 * i)) & 255u) | above) + TRELLIS_FIRST;
    q[2 * i] = next_word(&number);
    q[2 * i + 1] = next_word(&number);
  }
  const lanes_u of_scale = code & 15u;
  scale[0] = AS_LANES_F(load_words(ROW_SCALES)) * TRELLIS_SCALE(of_scale);
  offset[0] = -TRELLIS_ZERO * scale[0];
}
