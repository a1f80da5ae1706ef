// SPDX-License-Identifier: MIT
// A work-group of 64 takes several rows of queries (as in attention_vector.cl). For the scores a lane is a position,
// for the output an element; probabilities change hands through local memory.
#define LANES GROUP_LANES
#if LANES != BLOCK_TILES * CACHE_TILE
#error "a lane for each position of a block"
#endif
#define LANE_ELEMENTS ((HEAD_SIZE + LANES - 1) / LANES)

// Element `element` of the position in slot `slot`; `index` is its place among numbers and levels of 8 bits, `nibble`
// among those of four.
static inline float load_element(const global uchar *tile, uint element, uint slot, uint index, uint nibble, uint type,
                                 uint high, uint scales, uint minimums) {
  if (type == CACHE_F32) return ((const global float *)tile)[index];
  if (type == CACHE_F16) return vload_half(index, (const global half *)tile);
  if (type == CACHE_BF16) return as_float((uint)((const global ushort *)tile)[index] << 16);
  const uint at = element / 32 * 16 + slot;
  const float scale = vload_half(at, (const global half *)(tile + scales));
  if (type == CACHE_Q8_0) return ((const global char *)tile)[index] * scale;
  uint level = element % 32 < 16 ? tile[nibble] & 15u : (uint)tile[nibble] >> 4;
  if (type == CACHE_IQ4_NL) return NON_LINEAR[level] * scale;
  if (HAS_HIGH_BIT(type)) level |= (((const global uint *)(tile + high))[at] >> element % 32 & 1u) << 4;
  if (HAS_MINIMUM(type)) return (float)level * scale + vload_half(at, (const global half *)(tile + minimums));
  return ((float)level + block_steps(type)) * scale;
}

// Of a position of a block whose tiles begin at `k`.
static inline float load_k(const global uchar *k, uint position, uint element) {
  const global uchar *tile = k + (ulong)(position / CACHE_TILE) * K_TILE_BYTES;
  const uint slot = position % CACHE_TILE;
  return load_element(tile, element, slot, element * 16 + slot, (element / 32 * 16 + element % 16) * 16 + slot, CACHE_K,
                      K_HIGH, K_SCALES, K_MINIMUMS);
}

static inline float load_v(const global uchar *v, uint position, uint element) {
  const global uchar *tile = v + (ulong)(position / CACHE_TILE) * V_TILE_BYTES;
  const uint slot = position % CACHE_TILE;
  return load_element(tile, element, slot, element / 16 * 256 + slot * 16 + element % 16,
                      (element / 32 * 16 + slot) * 16 + element % 16, CACHE_V, V_HIGH, V_SCALES, V_MINIMUMS);
}

#define ROWS BATCH_ROWS
#define ROW_STEP 1
#define NAME(name) name##_batch
#include "attention_group_rows.cl"
#undef ROWS
#undef ROW_STEP
#undef NAME

#define ROWS GROUP_ROWS
#define ROW_STEP 0
#define NAME(name) name##_single
#include "attention_group_rows.cl"
