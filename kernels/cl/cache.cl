// SPDX-License-Identifier: MIT
// Where keys and values lie in the cache. Both come in tiles of 16 positions, one kv head after the other:
//   K tile: [element][16 positions], so that the scores of 16 positions are one vector;
//   V tile: [element / 16][16 positions][16 elements], the last chunk padded with zeros.
// Q8_0: signed bytes in the same order, then the half-precision scales [element / 32][16 positions].
#define CACHE_F32 0
#define CACHE_F16 1
#define CACHE_Q8_0 2

#define HEAD_CHUNKS ((HEAD_SIZE + 15) / 16)
#define HEAD_BLOCKS ((HEAD_SIZE + 31) / 32)

#define K_SCALES (HEAD_SIZE * 16)
#define V_SCALES (HEAD_CHUNKS * 256)
#if CACHE_K == CACHE_F32
#define K_TILE_BYTES (HEAD_SIZE * 64)
#elif CACHE_K == CACHE_F16
#define K_TILE_BYTES (HEAD_SIZE * 32)
#else
#define K_TILE_BYTES (K_SCALES + HEAD_BLOCKS * 32)
#endif
#if CACHE_V == CACHE_F32
#define V_TILE_BYTES (HEAD_CHUNKS * 1024)
#elif CACHE_V == CACHE_F16
#define V_TILE_BYTES (HEAD_CHUNKS * 512)
#else
#define V_TILE_BYTES (V_SCALES + HEAD_BLOCKS * 32)
#endif

// What a masked score is, and the largest score before any was seen: exp(MASKED - UNSEEN) is 0 and never NaN.
#define MASKED (-INFINITY)
#define UNSEEN (-1e30f)
