// SPDX-License-Identifier: MIT
// TQ1_0: blocks of 256, weight = d * (q - 1). A byte has five digits of base 3 as a binary fraction: multiplied with a
// power of three, its first digit is what a further 3 carries out of it. Of the block's 32 bytes each has one element of
// groups 0 to 4, of the next 16 one of each half of groups 5, 6 and 7, and the last four have what is left of group 7.
#define SUBGROUPS 1

// Digit number `digit` of each byte.
inline lanes_u digits(lanes_u word, uint digit) {
  const uint power = power_of_three(digit);
  const lanes_u even = ((word & 0x00ff00ffu) * power) & 0x00ff00ffu;
  const lanes_u odd = (((word >> 8) & 0x00ff00ffu) * power) & 0x00ff00ffu;
  return (((even * 3u) >> 8) & 0x00030003u) | ((odd * 3u) & 0x03000300u);
}

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint part = group % 8;
#pragma unroll
  for (uint j = 0; j < 8; ++j) {
    if (part < 5) {
      q[j] = digits(load_words(OF_BLOCK(digits_of_32) + 64 * j), part);
    } else if (part < 7 || j < 4) {
      q[j] = digits(load_words(OF_BLOCK(digits_of_16) + 64 * (j % 4)), 2 * (part - 5) + j / 4);
    } else {
      q[j] = digits(load_words(OF_BLOCK(digits_of_4)), j - 4);
    }
  }
  scale[0] = load_halves(OF_BLOCK(d));
  offset[0] = -scale[0];
}
