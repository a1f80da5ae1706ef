// SPDX-License-Identifier: MIT
// IQ4_KS: a float d a row, blocks of 256, weight = d * (scale - 127) * (table[q] + 4 * moved); every 32 a byte, whose
// lowest bit is `moved` and the others are the scale.
#define SUBGROUPS 1
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  look_up(IQ4_TABLE, q);
  const lanes_u packed = load_bytes(OF_GROUP(scales));
  scale[0] = AS_LANES_F(load_words(ROW_SCALES)) * (TO_SCALE(packed & 254u) - 127.0f);
  offset[0] = MOVED_OFFSET(scale[0], packed, 0, 4.0f, 127.0f);
}
