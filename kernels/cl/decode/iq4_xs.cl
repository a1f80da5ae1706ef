// SPDX-License-Identifier: MIT
// IQ4_XS: blocks of 256, weight = d * (scale - 32) * (table[q] - 127), a 6-bit scale every 32, the table of IQ4_NL.
#define SUBGROUPS 1
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
  load_nibbles(OF_GROUP(nibbles), q);
  look_up(IQ4_TABLE, q);
  const lanes_u low = load_bytes(OF_BLOCK(scales) + 16 * (part / 2)) >> (4 * (part % 2));
  const lanes_u high = load_shorts(OF_BLOCK(high_scales)) >> (2 * part);
  const lanes_f d = load_halves(OF_BLOCK(d));
  scale[0] = d * (TO_SCALE((low & 15u) | ((high & 3u) << 4)) - 32.0f);
  offset[0] = -127.0f * scale[0];
}
