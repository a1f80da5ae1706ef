// SPDX-License-Identifier: MIT
// IQ3_KS: a half d a row, blocks of 256, weight = d * (scale - 16) * (table[q] + 4 * moved), a 5-bit scale and a bit
// `moved` every 32: bits 0 to 7 and 8 to 15 of `extra` are the scales' highest ones and those.
#define SUBGROUPS 1
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
  load_pairs(OF_GROUP(pairs), q);
  add_bits(OF_GROUP(bits), 2, q);
  look_up(IQ3_TABLE, q);
  const lanes_u extra = load_shorts(OF_BLOCK(extra)) >> part;
  const lanes_u low = load_bytes(OF_BLOCK(scales) + 16 * (part % 4)) >> (4 * (part / 4));
  scale[0] = load_halves(ROW_SCALES) * (TO_SCALE((low & 15u) | ((extra & 1u) << 4)) - 16.0f);
  offset[0] = MOVED_OFFSET(scale[0], extra, 8, 4.0f, 63.0f);
}
