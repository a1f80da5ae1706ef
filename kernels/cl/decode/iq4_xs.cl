// SPDX-License-Identifier: MIT
// IQ4_XS: blocks of 256, weight = d * (scale - 32) * (table[q] - 127), a 6-bit scale every 32, the table of IQ4_NL.
// Regions: nibbles 128 bytes a row, low bits of scales 4, high bits 2, d 2.
#define SUBGROUPS 1

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  const uint block = group / 8;
  const uint blocks = groups / 8;
  const uint part = group % 8;
  load_nibbles(tile + 256 * group, q);
  look_up((uint4)(0x3e2c1700u, 0x75695c4eu, 0xa5988c80u, 0xf0d8c4b4u), q);
  const global uchar *scales = tile + 256 * groups;
  const lanes_u low = load_bytes(scales + 64 * block + 16 * (part / 2)) >> (4 * (part % 2));
  const lanes_u high = load_shorts(scales + 64 * blocks + 32 * block) >> (2 * part);
  const lanes_f d = load_halves(scales + 96 * blocks + 32 * block);
  scale[0] = d * (TO_SCALE((low & 15u) | ((high & 3u) << 4)) - 32.0f);
  offset[0] = -127.0f * scale[0];
}
