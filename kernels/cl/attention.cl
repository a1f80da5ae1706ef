// SPDX-License-Identifier: MIT
// What one layer does between its projections, for one head size and one pair of cache types: HEAD_SIZE, GROUP_ROWS (Q
// heads of a kv head that attention_single takes at once), BATCH_ROWS (tokens that attention_batch takes), CACHE_K,
// CACHE_V and where their planes lie (cache.cl).
//
// Attention is computed with an online softmax over blocks of positions: `most` is the largest score so far, `total`
// and the output are sums of exp(score - most), rescaled when `most` grows.
#include "lanes.cl"
#include "step.cl"
#include "vector_math.cl"
#include "cache.cl"
#include "cache_blocks.cl"
#include "store_kv.cl"

// Tiles that are worked on at once. Blocks of them begin at multiples of their length, so that each lies in one page.
#define BLOCK_TILES 4
#if PAGE_TILES % BLOCK_TILES != 0
#error "a block of tiles lies in one page"
#endif

// The tiles that hold positions from .. end - 1, divided into `parts` at the borders of blocks: part `part`, which may
// be none.
typedef struct {
  uint first, last;  // tiles, `last` is beyond the end
} tile_range;

static inline tile_range part_of(uint from, uint end, uint part, uint parts) {
  const uint first = from / CACHE_TILE, last = (end + CACHE_TILE - 1) / CACHE_TILE;
  const uint first_block = first / BLOCK_TILES, blocks = (last + BLOCK_TILES - 1) / BLOCK_TILES - first_block;
  const uint each = (blocks + parts - 1) / parts;
  tile_range range;
  range.first = max(first, (first_block + part * each) * BLOCK_TILES);
  range.last = min(last, (first_block + (part + 1) * each) * BLOCK_TILES);
  return range;
}

// The first position that a token sees. Where windows are chunks, it is a multiple of their length.
static inline uint window_start(uint position, uint window, uint chunked) {
  if (window == 0) return 0;
  if (chunked) return position / window * window;
  return position >= window ? position - window + 1 : 0;
}

// The scratch of attention_single: the number of parts in the first word (of PARTIAL_HEADER), then for each run, part and
// head the output not yet divided, the largest score, the sum of exponentials.
#define PARTIAL_SIZE (HEAD_SIZE + PARTIAL_SUMS)

static inline ulong partial_at(uint run, uint part, uint parts, uint head, uint heads) {
  return PARTIAL_HEADER + (((ulong)run * parts + part) * heads + head) * PARTIAL_SIZE;
}

// A sink is a score without a value: where a row starts, with UNSEEN and nothing if there is none. Of a split sequence
// only the first part starts so. A sink of -INFINITY is none.
static inline float sink_of(global const float *sinks, uint has_sinks, uint head) {
  return has_sinks ? sinks[head] : -INFINITY;
}
static inline float first_most(float sink) { return max(sink, UNSEEN); }
static inline float first_total(float sink) { return exp(sink - first_most(sink)); }

#define ATTENTION_ARGUMENTS                                                                                  \
  global const float *q, global const uchar *k, global const uchar *v, global const uint *pages, uint pages_row, \
      global float *out, global const uint *step_info, uint heads, uint kv_heads, float softcap, uint window,    \
      uint chunked, global const float *sinks, uint has_sinks

#ifdef STYLE_VECTOR
#include "attention_vector.cl"
#else
#include "attention_group.cl"
#endif
