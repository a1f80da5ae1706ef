// SPDX-License-Identifier: MIT
// MXFP4: 32 elements, weight = 2^(e - 128) * (table[q] - 12).
// The table: 0 1 2 3 4 6 8 12 and the same negative (twice the values of the 4-bit floats), each plus 12.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  look_up((uint4)(0x0f0e0d0cu, 0x18141210u, 0x090a0b0cu, 0x00040608u), q);
  const lanes_u e = load_bytes(OF_BLOCK(e));
  // 2^-128 and 2^-127 are subnormal floats.
  scale[0] = AS_LANES_F(select((e - 1u) << 23, (lanes_u)(0x00200000u) << e, e < 2u));
  offset[0] = -12.0f * scale[0];
}
