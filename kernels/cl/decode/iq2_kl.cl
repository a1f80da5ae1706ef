// SPDX-License-Identifier: MIT
// IQ2_KL: a half d a row, blocks of 256, weight = d * (scale - 32) * (value - 63), a 6-bit scale every 32. Two elements
// are a code of five bits, which stands for a pair of values.
#define SUBGROUPS 1

// The first and the second of each pair, plus 63 (iq2kl_values in ggml-common.h of ik_llama.cpp).
#define FIRST_OF_PAIR (uint4)(0x17170000u, 0x28281717u, 0x35282828u, 0x40353535u), \
  (uint4)(0x40404040u, 0x4c4c4c4cu, 0x5b5b5b4cu, 0x6e6e5b5bu)
#define SECOND_OF_PAIR (uint4)(0x35004c28u, 0x28176e4cu, 0x005b4c40u, 0x286e4c40u), \
  (uint4)(0x5b4c4035u, 0x40352817u, 0x4028004cu, 0x4c286e5bu)

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
  const lanes_u bits = load_shorts(OF_GROUP(bits));
  lanes_u a[8];
  lanes_u b[8];
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u nibbles = load_words(OF_GROUP(nibbles) + 64 * (i / 2)) >> (4 * (i % 2));
    a[i] = b[i] = (nibbles & 0x0f0f0f0fu) | (((((bits >> (4 * i)) & 15u) * 0x00204081u) & 0x01010101u) << 4);
    a[i + 4] = b[i + 4] = 0;  // not used, and nothing is done for them
  }
  look_up_32(FIRST_OF_PAIR, a);
  look_up_32(SECOND_OF_PAIR, b);
  // Bytes 0 and 2 of word i are elements 8i to 8i + 3, bytes 1 and 3 the next four.
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    q[2 * i] = (a[i] & 0x00ff00ffu) | ((b[i] & 0x00ff00ffu) << 8);
    q[2 * i + 1] = ((a[i] >> 8) & 0x00ff00ffu) | (b[i] & 0xff00ff00u);
  }
  const lanes_u low = load_bytes(OF_BLOCK(scales) + 16 * (part % 4)) >> (4 * (part / 4));
  const lanes_u high = load_shorts(OF_BLOCK(high_scales)) >> (2 * part);
  scale[0] = load_halves(ROW_SCALES) * (TO_SCALE((low & 15u) | ((high & 3u) << 4)) - 32.0f);
  offset[0] = -63.0f * scale[0];
}
