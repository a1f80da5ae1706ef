// SPDX-License-Identifier: MIT
// What decode includes are made of (docs/kernels.md). q[j] holds elements 4j .. 4j + 3 of a group of 32, one a byte.

// Where the sixteen rows' parts of a region (packing_table.hpp) lie that belong to a block or to a group of 32, and the
// scales at the starts of rows, or their factors. `tile`, `groups` and `group` are decode()'s.
#define OF_BLOCK(region) \
  (tile + TILE_ROWS * (FIRST_OF_##region * (groups / BLOCK_GROUPS) + BYTES_OF_##region * (group / BLOCK_GROUPS)))
#define OF_GROUP(region) \
  (tile + TILE_ROWS * (FIRST_OF_##region * (groups / BLOCK_GROUPS) + BYTES_OF_##region / BLOCK_GROUPS * group))
#define ROW_SCALES (tile + TILE_ROWS * BLOCK_BYTES * (groups / BLOCK_GROUPS))

// Sixteen bytes a row: q[0..3] in the low nibbles of the four words, q[4..7] in the high ones.
inline void load_nibbles(const global uchar *plane, lanes_u *q) {
#pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const lanes_u word = load_words(plane + 64 * i);
    q[i] = word & 0x0f0f0f0fu;
    q[i + 4] = (word >> 4) & 0x0f0f0f0fu;
  }
}

// Four bytes a row: bit j of each byte belongs to q[j]. Puts them at bit 4 (with mask 0x10101010) or wherever mask is.
inline void add_bits(const global uchar *plane, uint bit, lanes_u *q) {
  const lanes_u word = load_words(plane);
#pragma unroll
  for (uint j = 0; j < 8; ++j) {
    const lanes_u moved = j > bit ? word >> (j > bit ? j - bit : 0) : word << (j > bit ? 0 : bit - j);
    q[j] |= moved & (0x01010101u << bit);
  }
}

// Eight bytes a row: bits 2j and 2j + 1 of each byte of word h belong to q[4h + j]. Returned in their lowest place.
inline void load_pairs(const global uchar *plane, lanes_u *q) {
#pragma unroll
  for (uint j = 0; j < 8; ++j) q[j] = (load_words(plane + 64 * (j / 4)) >> (2 * (j % 4))) & 0x03030303u;
}

// The same, added to nibbles as bits 4 and 5.
inline void add_pairs(const global uchar *plane, lanes_u *q) {
#pragma unroll
  for (uint j = 0; j < 8; ++j) {
    const lanes_u word = load_words(plane + 64 * (j / 4));
    q[j] |= (j % 4 < 2 ? word << (4 - 2 * (j % 4)) : word >> (j % 4 == 3 ? 2 : 0)) & 0x30303030u;
  }
}

// The two 6-bit numbers of group `part` (0..7) of a block: a byte of low nibbles, and of the block four bytes of high bits.
inline void load_six_bits(const global uchar *low_of_group, const global uchar *high_of_block, uint part, lanes_u *a,
                          lanes_u *b) {
  const lanes_u low = load_bytes(low_of_group);
  const lanes_u high = load_bytes(high_of_block + 16 * (part / 2)) >> (4 * (part % 2));
  *a = (low & 15u) | ((high & 3u) << 4);
  *b = (low >> 4) | ((high & 12u) << 2);
}

// Replaces codes, one a byte, by the bytes of a table of sixteen. Bits above the lowest four count for nothing.
#if defined(STYLE_VECTOR) && defined(ASSEMBLY_AVX512)
inline void look_up(uint4 table, lanes_u *q) {
  const uint16 tables = (uint16)(table, table, table, table);
#pragma unroll
  for (uint j = 0; j < 8; ++j) __asm__("vpshufb %1, %2, %0" : "=v"(q[j]) : "v"(q[j]), "v"(tables));
}
#else
inline lanes_u look_up_byte(uint4 table, lanes_u code) {
  const lanes_u low = select((lanes_u)(table.s0), (lanes_u)(table.s1), (code & 4u) != 0u);
  const lanes_u high = select((lanes_u)(table.s2), (lanes_u)(table.s3), (code & 4u) != 0u);
  return (select(low, high, (code & 8u) != 0u) >> ((code & 3u) << 3)) & 0xffu;
}

inline void look_up(uint4 table, lanes_u *q) {
#pragma unroll
  for (uint j = 0; j < 8; ++j) {
    q[j] = look_up_byte(table, q[j]) | (look_up_byte(table, q[j] >> 8) << 8) | (look_up_byte(table, q[j] >> 16) << 16) |
           (look_up_byte(table, q[j] >> 24) << 24);
  }
}
#endif

// The bytes of `others` where that bit of the codes is set.
inline void take_where(uint bit, const lanes_u *codes, const lanes_u *others, lanes_u *q) {
#pragma unroll
  for (uint j = 0; j < 8; ++j) q[j] = bitselect(q[j], others[j], ((codes[j] >> bit) & 0x01010101u) * 255u);
}

// The same with 32 bytes.
inline void look_up_32(uint4 low, uint4 high, lanes_u *q) {
  lanes_u codes[8];
  lanes_u others[8];
#pragma unroll
  for (uint j = 0; j < 8; ++j) codes[j] = others[j] = q[j];
  look_up(low, q);
  look_up(high, others);
  take_where(4, codes, others, q);
}

// The same with 64 bytes.
inline void look_up_64(uint4 a, uint4 b, uint4 c, uint4 d, lanes_u *q) {
  lanes_u codes[8];
  lanes_u others[8];
#pragma unroll
  for (uint j = 0; j < 8; ++j) codes[j] = others[j] = q[j];
  look_up_32(a, b, q);
  look_up_32(c, d, others);
  take_where(5, codes, others, q);
}

// Up to 81. Written as a choice between numbers, oclgrind took the wrong one.
inline uint power_of_three(uint n) { return n == 0 ? 1 : (0x511b0903u >> (8 * n - 8)) & 255u; }

#define TO_SCALE(numbers) TO_LANES_F(AS_LANES_I(numbers))
