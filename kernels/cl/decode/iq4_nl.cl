// SPDX-License-Identifier: MIT
// IQ4_NL: 32 elements, weight = d * (table[q] - 127).
#define SUBGROUPS 1
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  look_up(IQ4_TABLE, q);
  scale[0] = load_halves(OF_BLOCK(d));
  offset[0] = -127.0f * scale[0];
}
