// SPDX-License-Identifier: MIT
// What the types whose weights are points of a grid have in common. Their signs are told apart from their values.
#ifndef POINTS
#define POINTS

// Negates byte k of values, each at most `bias` (a power of two), where bit k of signs is set, and adds bias to all.
// Negative ones as (2 * bias - 1) - (bias - 1 + value): no byte borrows.
inline lanes_u add_signs(lanes_u values, lanes_u signs, uint bias) {
  const lanes_u negative = ((signs & 15u) * 0x00204081u) & 0x01010101u;
  return (values + (bias - 1u) * 0x01010101u + (negative ^ 0x01010101u)) ^ (negative * (2u * bias - 1u));
}

// Seven signs and an eighth, which makes their number even.
inline lanes_u eight_signs(lanes_u word, uint shift) {
  const lanes_u seven = (word >> shift) & 127u;
  const lanes_u folded = seven ^ (seven >> 4);
  return seven | ((((lanes_u)(0x6996u) >> (folded & 15u)) & 1u) << 7);
}

// The lowest four two-bit codes, one a byte.
inline lanes_u four_pairs(lanes_u point) {
  return (point & 3u) | ((point & 12u) << 6) | ((point & 48u) << 12) | ((point & 192u) << 18);
}

// Points of eight values in two-bit codes, 0, 1, 2 for 8, 25, 43: with their signs, plus 64.
inline lanes_u four_of_eight(lanes_u point, lanes_u signs) {
  const lanes_u code = four_pairs(point);
  return add_signs(0x08080808u + code * 17u + ((code >> 1) & 0x01010101u), signs, 64);
}

inline void eight_values(lanes_u point, lanes_u signs, lanes_u *q) {
  q[0] = four_of_eight(point, signs);
  q[1] = four_of_eight(point >> 8, signs >> 4);
}

// Points of four values in four bits each: one a byte.
inline lanes_u four_values(lanes_u point) {
  const lanes_u pairs = (point | (point << 8)) & 0x00ff00ffu;
  return (pairs | (pairs << 4)) & 0x0f0f0f0fu;
}
#endif
