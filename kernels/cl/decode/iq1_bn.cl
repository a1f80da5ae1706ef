// SPDX-License-Identifier: MIT
// IQ1_BN: a half d a row, blocks of 64, weight = d * (q - 1). Three bytes are fifteen elements, five digits of base 3 each,
// the first of which is what is left after a product with 81; the sixteenth of each sixteen is a digit of the last byte.
#define SUBGROUPS 1

// Two digits of the products in the low bytes of half-words, whatever is above.
inline lanes_u two_digits(lanes_u products) {
  const lanes_u bytes = products & 0x00ff00ffu;
  return ((bytes + ((bytes >> 1) & 0x007f007fu)) >> 7) & 0x00030003u;
}

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const lanes_u last = load_bytes(OF_BLOCK(last));
#pragma unroll
  for (uint i = 0; i < 2; ++i) {
    const uint sixteen = 2 * (group % 2) + i;
    const global uchar *bytes = OF_BLOCK(bytes) + 48 * sixteen;
    const lanes_u a = load_bytes(bytes);
    const lanes_u b = load_bytes(bytes + 16);
    const lanes_u c = load_bytes(bytes + 32);
    lanes_u *words = q + 4 * i;
    words[0] = two_digits(a * (81u | 9u << 16)) | (two_digits(a * (27u | 3u << 16)) << 8);
    words[1] = two_digits(a | b * (27u << 16)) | (two_digits(b * (81u | 9u << 16)) << 8);
    words[2] = two_digits(b * 3u | c * (81u << 16)) | (two_digits(b | c * (27u << 16)) << 8);
    words[3] = two_digits(c * (9u | 1u << 16)) | (two_digits(c * 3u | (last * power_of_three(4 - sixteen)) << 16) << 8);
  }
  scale[0] = load_halves(ROW_SCALES);
  offset[0] = -scale[0];
}
