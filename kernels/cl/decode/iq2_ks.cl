// SPDX-License-Identifier: MIT
// IQ2_KS: a half d a row, blocks of 256, weight = d * (scale - 16) * (table[q] + 5 * moved), a 5-bit scale and a bit
// `moved` every 32: bits 8 to 15 and 0 to 7 of `extra` are the scales' highest ones and those.
#define SUBGROUPS 1
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
  load_pairs(OF_GROUP(pairs), q);
  look_up(IQ2_TABLE, q);
  const lanes_u extra = load_shorts(OF_BLOCK(extra)) >> part;
  const lanes_u low = load_bytes(OF_BLOCK(scales) + 16 * (part / 2)) >> (4 * (part % 2));
  scale[0] = load_halves(ROW_SCALES) * (TO_SCALE((low & 15u) | ((extra >> 4) & 16u)) - 16.0f);
  offset[0] = MOVED_OFFSET(scale[0], extra, 0, 5.0f, 31.0f);
}
