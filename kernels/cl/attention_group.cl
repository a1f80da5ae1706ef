// SPDX-License-Identifier: MIT
// A work-group of 64 takes several rows of queries (as in attention_vector.cl). For the scores a lane is a position,
// for the output an element; probabilities change hands through local memory.
#define LANES 64
#define LANE_ELEMENTS ((HEAD_SIZE + LANES - 1) / LANES)

static inline float load_k(const global uchar *k, uint position, uint element) {
  const global uchar *tile = k + (ulong)(position / 16) * K_TILE_BYTES;
  const uint slot = position % 16, index = element * 16 + slot;
#if CACHE_K == CACHE_F32
  return ((const global float *)tile)[index];
#elif CACHE_K == CACHE_F16
  return vload_half(index, (const global half *)tile);
#else
  const float scale = vload_half(element / 32 * 16 + slot, (const global half *)(tile + K_SCALES));
  return ((const global char *)tile)[index] * scale;
#endif
}

static inline float load_v(const global uchar *v, uint position, uint element) {
  const global uchar *tile = v + (ulong)(position / 16) * V_TILE_BYTES;
  const uint slot = position % 16, index = element / 16 * 256 + slot * 16 + element % 16;
#if CACHE_V == CACHE_F32
  return ((const global float *)tile)[index];
#elif CACHE_V == CACHE_F16
  return vload_half(index, (const global half *)tile);
#else
  const float scale = vload_half(element / 32 * 16 + slot, (const global half *)(tile + V_SCALES));
  return ((const global char *)tile)[index] * scale;
#endif
}

// Heads above 256 elements take fewer rows, so that local memory suffices everywhere (32 KiB).
#if HEAD_SIZE > 256
#define GROUP_BATCH_ROWS 4
#else
#define GROUP_BATCH_ROWS 16
#endif

#define ROWS GROUP_BATCH_ROWS
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
