// SPDX-License-Identifier: MIT
// IQ5_K: blocks of 256, weight = d * (scale - 32) * (table[q] + 2 * moved), a 6-bit scale and a bit `moved` every 16.
#define SUBGROUPS 2
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  add_bits(OF_GROUP(bits), 4, q);
  look_up_32(IQ5_TABLE, q);
  lanes_u scales[2];
  load_six_bits(OF_GROUP(scales), OF_BLOCK(high_scales), group % 8, &scales[0], &scales[1]);
  const lanes_u moved = load_shorts(OF_BLOCK(moved)) >> (2 * (group % 8));
  const lanes_f d = load_halves(OF_BLOCK(d));
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * (TO_SCALE(scales[i]) - 32.0f);
    offset[i] = MOVED_OFFSET(scale[i], moved, i, 2.0f, 127.0f);
  }
}
