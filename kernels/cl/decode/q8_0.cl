// SPDX-License-Identifier: MIT
// Q8_0: 32 elements, weight = d * (q - 128), since 128 was added to the signed bytes.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
#pragma unroll
  for (uint j = 0; j < 8; ++j) q[j] = load_words(OF_GROUP(bytes) + 64 * j);
  scale[0] = load_halves(OF_BLOCK(d));
  offset[0] = -128.0f * scale[0];
}
