// SPDX-License-Identifier: MIT
// The types whose elements follow from a number that is multiplied again and again (as in ik_llama.cpp): each is the
// sum of the low six bits of its four bytes, less 126. Sums are at most 252.
#ifndef TRELLIS
#define TRELLIS
#define TRELLIS_FIRST 4096u  // what is added to the number stored
#define TRELLIS_ZERO 126.0f

// The next element, in a byte.
inline lanes_u next_element(lanes_u *number) {
  *number *= 0xcbac1fedu;
  return ((*number & 0x3f3f3f3fu) * 0x01010101u) >> 24;
}

// The next four.
inline lanes_u next_word(lanes_u *number) {
  lanes_u word = next_element(number);
  word |= next_element(number) << 8;
  word |= next_element(number) << 16;
  return word | (next_element(number) << 24);
}

// What 4-bit scales stand for, plus 127: the values of IQ4_NL.
constant ushort trellis_scales[16] = {0, 23, 44, 62, 78, 92, 105, 117, 128, 140, 152, 165, 180, 196, 216, 240};
#define TRELLIS_SCALE(code) (TO_SCALE((lanes_u)(GATHER(trellis_scales, code))) - 127.0f)
#endif
