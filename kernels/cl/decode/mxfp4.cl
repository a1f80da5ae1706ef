// SPDX-License-Identifier: MIT
// MXFP4: 32 elements, weight = 2^(e - 128) * (table[q] - 12).
#define SUBGROUPS 1
#include "decode/tables.cl"

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  look_up(E2M1_TABLE, q);
  const lanes_u e = load_bytes(OF_BLOCK(e));
  // 2^-128 and 2^-127 are subnormal floats.
  scale[0] = AS_LANES_F(select((e - 1u) << 23, (lanes_u)(0x00200000u) << e, e < 2u));
  offset[0] = -12.0f * scale[0];
}
