// SPDX-License-Identifier: MIT
// IQ2_KT: a float d a row, blocks of 256, weight = d * scale * (q - 126), a 4-bit scale every 32. Eight elements follow
// from 16 bits.
#define SUBGROUPS 1
#include "decode/trellis.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u word = load_words(OF_GROUP(points) + 64 * (i / 2)) >> (16 * (i % 2));
    lanes_u number = (word & 0xffffu) + TRELLIS_FIRST;
    q[2 * i] = next_word(&number);
    q[2 * i + 1] = next_word(&number);
  }
  const lanes_u code = (load_bytes(OF_BLOCK(scales) + 16 * (part % 4)) >> (4 * (part / 4))) & 15u;
  scale[0] = AS_LANES_F(load_words(ROW_SCALES)) * TRELLIS_SCALE(code);
  offset[0] = -TRELLIS_ZERO * scale[0];
}
