// SPDX-License-Identifier: MIT
// Q6_K: blocks of 256, weight = d * scale * (q - 32), a signed 8-bit scale every 16.
#define SUBGROUPS 2

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  add_pairs(OF_GROUP(pairs), q);
  const lanes_i packed = AS_LANES_I(load_shorts(OF_GROUP(scales)));
  const lanes_f d = load_halves(OF_BLOCK(d));
  scale[0] = d * TO_LANES_F((packed << 24) >> 24);
  scale[1] = d * TO_LANES_F((packed << 16) >> 24);
#pragma unroll
  for (uint i = 0; i < 2; ++i) offset[i] = -32.0f * scale[i];
}
