// SPDX-License-Identifier: MIT
// Q3_K: blocks of 256, weight = d * (scale - 32) * (q - 4), a 6-bit scale every 16.
#define SUBGROUPS 2

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_pairs(OF_GROUP(pairs), q);
  add_bits(OF_GROUP(bits), 2, q);
  lanes_u parts[2];
  load_six_bits(OF_GROUP(scales), OF_BLOCK(high_scales), group % 8, &parts[0], &parts[1]);
  const lanes_f d = load_halves(OF_BLOCK(d));
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    scale[i] = d * (TO_SCALE(parts[i]) - 32.0f);
    offset[i] = -4.0f * scale[i];
  }
}
