// SPDX-License-Identifier: MIT
// IQ3_K: blocks of 256, weight = sign * d * (2 * scale + 1) * (table[q] + 4 * moved), a 4-bit scale, a sign and a bit
// `moved` every 16.
#define SUBGROUPS 2
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_pairs(OF_GROUP(pairs), q);
  add_bits(OF_GROUP(bits), 2, q);
  look_up(IQ3_TABLE, q);
  const lanes_u scales = load_bytes(OF_GROUP(scales));
  const lanes_u signs = load_shorts(OF_BLOCK(signs)) >> (2 * (group % 8));
  const lanes_u moved = load_shorts(OF_BLOCK(moved)) >> (2 * (group % 8));
  const lanes_f d = load_halves(OF_BLOCK(d));
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    const lanes_f size = TO_SCALE(2u * ((scales >> (4 * i)) & 15u) + 1u);
    scale[i] = d * size * (1.0f - 2.0f * TO_SCALE((signs >> i) & 1u));
    offset[i] = MOVED_OFFSET(scale[i], moved, i, 4.0f, 63.0f);
  }
}
