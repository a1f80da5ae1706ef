// SPDX-License-Identifier: MIT
// IQ4_KT: a float d a row, blocks of 256, weight = d * (scale - 64) * (q - 126). Four elements follow from 15 bits: a
// byte, four bits that lie apart, and three of a word for 32, which has a 7-bit scale and a bit that moves all numbers.
#define SUBGROUPS 1
#include "decode/trellis.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
  const lanes_u word = load_words(OF_GROUP(words));
  const lanes_u first = TRELLIS_FIRST + ((word & 1u) << 15);
#pragma unroll
  for (uint i = 0; i < 8; ++i) {
    const lanes_u low = load_words(OF_GROUP(points) + 64 * (i / 4)) >> (8 * (i % 4));
    const lanes_u both = load_words(OF_BLOCK(high_points) + 64 * (2 * (part % 4) + i / 4)) >> (8 * (i % 4));
    const lanes_u high = both >> (4 * (part / 4));
    lanes_u number = ((low & 255u) | ((high & 15u) << 8) | (((word >> (8 + 3 * i)) & 7u) << 12)) + first;
    q[i] = next_word(&number);
  }
  scale[0] = AS_LANES_F(load_words(ROW_SCALES)) * (TO_SCALE((word & 255u) >> 1) - 64.0f);
  offset[0] = -TRELLIS_ZERO * scale[0];
}
