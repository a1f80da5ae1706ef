// SPDX-License-Identifier: MIT
// IQ4_KSS: a float d a row, blocks of 256, weight = d * (scale - 127) * (table[q] + 4 * moved). A group of 32 is eight
// halves of words: the lowest bits together are a byte, the scale with `moved` as its lowest bit. The other 15 of each
// are four codes, each bit but the highest stored as its exclusive or with the one above.
#define SUBGROUPS 1
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  lanes_u packed = 0;
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u word = load_words(OF_GROUP(words) + 64 * i);
    packed |= ((word & 1u) | ((word >> 15) & 2u)) << (2 * i);
    const lanes_u codes = word & 0xfffefffeu;
    const lanes_u plain = codes ^ (codes >> 1);
    q[i] = plain & 0x0f0f0f0fu;
    q[i + 4] = (plain >> 4) & 0x0f0f0f0fu;
  }
  look_up(IQ4_TABLE, q);
  scale[0] = AS_LANES_F(load_words(ROW_SCALES)) * (TO_SCALE(packed & 254u) - 127.0f);
  offset[0] = MOVED_OFFSET(scale[0], packed, 0, 4.0f, 127.0f);
}
