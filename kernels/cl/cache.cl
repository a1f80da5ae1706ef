// SPDX-License-Identifier: MIT
// Where keys and values lie in the cache. A page holds PAGE_TILES tiles of 16 positions for each kv head, one head after
// the other:
//   K tile: [element][16 positions], so that the scores of 16 positions are one vector;
//   V tile: [element / 16][16 positions][16 elements], the last chunk padded with zeros.
// Types of blocks, of 32 elements of a position each (the last one of a head may be shorter), have planes behind one
// another: levels, high bits, scales, minimums. Levels of 8 bits are signed bytes in the order above. Of 4 bits: a byte
// holds elements e (low) and e + 16 (high) of a block, K [block][16][16 positions], V [block][16 positions][16]. A
// fifth bit: [block][16 positions] words of 32 bits, bit e of element e. Scales, minimums: halves [block][16 positions].
// What types have, and the bytes at which planes begin (K_HIGH, K_SCALES, K_MINIMUMS and V's) and a tile ends
// (K_TILE_BYTES), the host says.
#if CACHE_TILE != 16
#error "positions of a tile are an OpenCL vector of sixteen"
#endif

#define IS_BLOCKS(type) ((CACHES_OF_BLOCKS >> (type) & 1u) != 0u)
#define IS_NIBBLES(type) ((CACHES_OF_NIBBLES >> (type) & 1u) != 0u)
#define HAS_HIGH_BIT(type) ((CACHES_OF_FIVE_BITS >> (type) & 1u) != 0u)
#define HAS_MINIMUM(type) ((CACHES_WITH_MINIMUMS >> (type) & 1u) != 0u)

// The number of a sequence's tile among those of all pages, for the first kv head; `pages` is the sequence's row of the
// table. The next head's is PAGE_TILES tiles further.
static inline ulong tile_place(global const uint *pages, uint tile, uint kv_heads) {
  return (ulong)pages[tile / PAGE_TILES] * kv_heads * PAGE_TILES + tile % PAGE_TILES;
}

#define HEAD_CHUNKS ((HEAD_SIZE + 15) / 16)
#define HEAD_BLOCKS ((HEAD_SIZE + CACHE_BLOCK - 1) / CACHE_BLOCK)

// What a masked score is, and the largest score before any was seen: exp(MASKED - UNSEEN) is 0 and never NaN.
#define MASKED (-INFINITY)
#define UNSEEN (-1e30f)
