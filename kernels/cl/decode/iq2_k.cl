// SPDX-License-Identifier: MIT
// IQ2_K: blocks of 256, weight = d * (scale - 8) * (table[q] + 5 * moved), a 4-bit scale and a bit `moved` every 16.
#define SUBGROUPS 2
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_pairs(OF_GROUP(pairs), q);
  look_up(IQ2_TABLE, q);
  const lanes_u scales = load_bytes(OF_GROUP(scales));
  const lanes_u moved = load_shorts(OF_BLOCK(moved)) >> (2 * (group % 8));
  const lanes_f d = load_halves(OF_BLOCK(d));
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * (TO_SCALE((scales >> (4 * i)) & 15u) - 8.0f);
    offset[i] = MOVED_OFFSET(scale[i], moved, i, 5.0f, 31.0f);
  }
}
