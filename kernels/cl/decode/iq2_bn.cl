// SPDX-License-Identifier: MIT
// IQ2_BN: a float d a row, blocks of 64, weight = d * (q - 1). Each of sixteen bytes has one element of every 16.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
#pragma unroll
  for (uint j = 0; j < 4; ++j) {
    const lanes_u word = load_words(OF_BLOCK(bytes) + 64 * j) >> (4 * (group % 2));
    q[j] = word & 0x03030303u;
    q[j + 4] = (word >> 2) & 0x03030303u;
  }
  scale[0] = AS_LANES_F(load_words(ROW_SCALES));
  offset[0] = -scale[0];
}
