// SPDX-License-Identifier: MIT
// NVFP4: blocks of 64, weight = f * s / 2 * (table[q] - 12), an 8-bit float s without a sign every 16 (four bits of
// exponent, three of fraction). The factor f of a row is none of the file's blocks, but of the .scale beside them.
#define SUBGROUPS 2
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    // Eight bytes are sixteen elements, the first half in the low nibbles.
    const lanes_u word = load_words(OF_GROUP(nibbles) + 64 * i);
    q[4 * (i / 2) + i % 2] = word & 0x0f0f0f0fu;
    q[4 * (i / 2) + 2 + i % 2] = (word >> 4) & 0x0f0f0f0fu;
  }
  look_up(E2M1_TABLE, q);
  const lanes_u packed = load_shorts(OF_GROUP(scales));
  const lanes_f factor = AS_LANES_F(load_words(ROW_SCALES));
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    const lanes_u bits = (packed >> (8 * i)) & 255u;
    const lanes_u magnitude = bits & 127u;
    const lanes_f normal = AS_LANES_F((magnitude << 20) + (119u << 23));
    const lanes_f value = select(normal, TO_SCALE(magnitude) * 0.0009765625f, magnitude < 8u);
    scale[i] = factor * select(value, (lanes_f)(0.0f), bits == 127u);
    offset[i] = -12.0f * scale[i];
  }
}
