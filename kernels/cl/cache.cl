// SPDX-License-Identifier: MIT
// Where keys and values lie in the cache. Both come in tiles of 16 positions, one kv head after the other:
//   K tile: [element][16 positions], so that the scores of 16 positions are one vector;
//   V tile: [element / 16][16 positions][16 elements], the last chunk padded with zeros.
// Types of blocks, of 32 elements of a position each (the last one of a head may be shorter), have planes behind one
// another: levels, high bits, scales, minimums. Levels of 8 bits are signed bytes in the order above. Of 4 bits: a byte
// holds elements e (low) and e + 16 (high) of a block, K [block][16][16 positions], V [block][16 positions][16]. A
// fifth bit: [block][16 positions] words of 32 bits, bit e of element e. Scales, minimums: halves [block][16 positions].
// The numbers are those of CacheType.
#define CACHE_F32 0
#define CACHE_F16 1
#define CACHE_BF16 2
#define CACHE_Q8_0 3
#define CACHE_Q4_0 4
#define CACHE_Q4_1 5
#define CACHE_Q5_0 6
#define CACHE_Q5_1 7
#define CACHE_IQ4_NL 8

#define IS_BLOCKS(type) ((type) >= CACHE_Q8_0)
#define IS_NIBBLES(type) ((type) > CACHE_Q8_0)
#define HAS_HIGH_BIT(type) ((type) == CACHE_Q5_0 || (type) == CACHE_Q5_1)
#define HAS_MINIMUM(type) ((type) == CACHE_Q4_1 || (type) == CACHE_Q5_1)

#define HEAD_CHUNKS ((HEAD_SIZE + 15) / 16)
#define HEAD_BLOCKS ((HEAD_SIZE + 31) / 32)

// Where the planes of a tile begin whose levels of 8 bits are `count` bytes.
#define PLANE_HIGH(type, count) (IS_NIBBLES(type) ? HEAD_BLOCKS * 256 : (count))
#define PLANE_SCALES(type, count) (PLANE_HIGH(type, count) + (HAS_HIGH_BIT(type) ? HEAD_BLOCKS * 64 : 0))
#define PLANE_MINIMUMS(type, count) (PLANE_SCALES(type, count) + HEAD_BLOCKS * 32)
#define TILE_BYTES(type, count)                             \
  ((type) == CACHE_F32      ? (count) * 4                   \
   : !IS_BLOCKS(type)       ? (count) * 2                   \
   : HAS_MINIMUM(type)      ? PLANE_MINIMUMS(type, count) + HEAD_BLOCKS * 32 \
                            : PLANE_MINIMUMS(type, count))

#define K_COUNT (HEAD_SIZE * 16)
#define V_COUNT (HEAD_CHUNKS * 256)
#define K_HIGH PLANE_HIGH(CACHE_K, K_COUNT)
#define V_HIGH PLANE_HIGH(CACHE_V, V_COUNT)
#define K_SCALES PLANE_SCALES(CACHE_K, K_COUNT)
#define V_SCALES PLANE_SCALES(CACHE_V, V_COUNT)
#define K_MINIMUMS PLANE_MINIMUMS(CACHE_K, K_COUNT)
#define V_MINIMUMS PLANE_MINIMUMS(CACHE_V, V_COUNT)
#define K_TILE_BYTES TILE_BYTES(CACHE_K, K_COUNT)
#define V_TILE_BYTES TILE_BYTES(CACHE_V, V_COUNT)

// What a masked score is, and the largest score before any was seen: exp(MASKED - UNSEEN) is 0 and never NaN.
#define MASKED (-INFINITY)
#define UNSEEN (-1e30f)
