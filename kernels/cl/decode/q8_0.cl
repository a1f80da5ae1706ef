// SPDX-License-Identifier: MIT
// Q8_0: 32 elements, weight = d * (q - 128), since 128 was added to the signed bytes. Regions: bytes 32 a row, d 2.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
#pragma unroll
  for (uint j = 0; j < 8; ++j) q[j] = load_words(tile + 512 * group + 64 * j);
  scale[0] = load_halves(tile + 512 * groups + 32 * group);
  offset[0] = -128.0f * scale[0];
}
