// SPDX-License-Identifier: MIT
// What one layer does between its projections, for one head size and one pair of cache types: HEAD_SIZE, GROUP_ROWS (Q
// heads of a kv head that attention_single takes at once), BATCH_ROWS (tokens that attention_batch takes), CACHE_K,
// CACHE_V and where their planes lie (cache.cl).
//
// Attention is computed with an online softmax over blocks of positions: `most` is the largest score so far, `total`
// and the output are sums of exp(score - most), rescaled when `most` grows.
#include "lanes.cl"
#include "vector_math.cl"
#include "cache.cl"
#include "cache_blocks.cl"
#include "store_kv.cl"

// The tiles that positions first .. past see within a window, divided into `parts`: part `part`.
typedef struct {
  uint first, last;  // tiles, `last` is beyond the end
} tile_range;

static inline uint window_start(uint position, uint window) {
  return window != 0 && position >= window ? position - window + 1 : 0;
}

static inline tile_range part_of(uint from, uint end, uint part, uint parts) {
  const uint first = from / CACHE_TILE, tiles = (end + CACHE_TILE - 1) / CACHE_TILE - first;
  const uint each = (tiles + parts - 1) / parts;
  tile_range range;
  range.first = first + min(tiles, part * each);
  range.last = first + min(tiles, (part + 1) * each);
  return range;
}

// The scratch of attention_single: the number of parts in the first word (of PARTIAL_HEADER), then for each part and
// head the output not yet divided, the largest score, the sum of exponentials.
#define PARTIAL_SIZE (HEAD_SIZE + PARTIAL_SUMS)

// A sink is a score without a value: where a row starts, with UNSEEN and nothing if there is none. Of a split sequence
// only the first part starts so. A sink of -INFINITY is none.
static inline float sink_of(global const float *sinks, uint has_sinks, uint head) {
  return has_sinks ? sinks[head] : -INFINITY;
}
static inline float first_most(float sink) { return max(sink, UNSEEN); }
static inline float first_total(float sink) { return exp(sink - first_most(sink)); }

#define ATTENTION_ARGUMENTS                                                                                 \
  global const float *q, global const uchar *k, global const uchar *v, global float *out,                   \
      global const uint *step_info, uint heads, uint kv_heads, uint cache_tiles, float softcap, uint window, \
      global const float *sinks, uint has_sinks

#ifdef STYLE_VECTOR
#include "attention_vector.cl"
#else
#include "attention_group.cl"
#endif
