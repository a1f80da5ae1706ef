// SPDX-License-Identifier: MIT
// Attention of ROWS rows of queries over a range of tiles; included once for each number of rows.
//
// Few rows alone would wait for the latency of a multiply-add, so several tiles (or chunks of the output) are worked on
// at once.
#define SCORE_TILES (ROWS <= 4 ? 4 : ROWS <= 8 ? 2 : 1)
#define OUTPUT_CHUNKS (HEAD_CHUNKS % 4 == 0 && ROWS <= 4 ? 4 : HEAD_CHUNKS % 2 == 0 && ROWS <= 8 ? 2 : 1)

// Scores of SCORE_TILES tiles of a block from `tile` on (those beyond the last one are not loaded) to
// scores[tile][row].
static inline void NAME(scores)(const float *queries, const global uchar *k, uint tile, uint last, float16 *scores) {
  float16 sums[SCORE_TILES * ROWS];
  const global uchar *tiles[SCORE_TILES];
  #pragma unroll
  for (uint i = 0; i < SCORE_TILES * ROWS; ++i) sums[i] = 0.0f;
  #pragma unroll
  for (uint t = 0; t < SCORE_TILES; ++t) tiles[t] = k + (ulong)min(tile + t, last - 1) * K_TILE_BYTES;
  for (uint block = 0; block < HEAD_SIZE; block += 32) {
    float16 scale[SCORE_TILES], minimum[SCORE_TILES];
    #pragma unroll
    for (uint t = 0; t < SCORE_TILES; ++t) {
      scale[t] = load_plane(tiles[t], IS_BLOCKS(CACHE_K), K_SCALES, block / 32, 1.0f);
      minimum[t] = load_plane(tiles[t], HAS_MINIMUM(CACHE_K), K_MINIMUMS, block / 32, 0.0f);
    }
    #pragma nounroll
    for (uint e = block; e < min(block + 32, (uint)HEAD_SIZE); ++e) {
      #pragma unroll
      for (uint t = 0; t < SCORE_TILES; ++t) {
        const float16 key = load_k(tiles[t], e, scale[t], minimum[t]);
        #pragma unroll
        for (uint r = 0; r < ROWS; ++r) {
          sums[t * ROWS + r] = fma((float16)(queries[e * ROWS + r]), key, sums[t * ROWS + r]);
        }
      }
    }
  }
  #pragma unroll
  for (uint i = 0; i < SCORE_TILES * ROWS; ++i) scores[i] = sums[i];
}

// Adds probabilities[tile][row] times V to OUTPUT_CHUNKS chunks of o[chunk][row], which are first scaled by
// factors[row]. Positions from `end` of the block on hold no values yet.
static inline void NAME(add_values)(const float *probabilities, const global uchar *v, uint tiles, uint end, uint chunk,
                                    const float *factors, float16 *o) {
  float16 sums[OUTPUT_CHUNKS * ROWS];
  #pragma unroll
  for (uint c = 0; c < OUTPUT_CHUNKS; ++c) {
    #pragma unroll
    for (uint r = 0; r < ROWS; ++r) sums[c * ROWS + r] = o[(chunk + c) * ROWS + r] * factors[r];
  }
  for (uint t = 0; t < tiles; ++t) {
    const global uchar *values = v + (ulong)t * V_TILE_BYTES;
    const uint slots = min(end - t * CACHE_TILE, CACHE_TILE);
    float16 scales[OUTPUT_CHUNKS], minimums[OUTPUT_CHUNKS];
    #pragma unroll
    for (uint c = 0; c < OUTPUT_CHUNKS; ++c) {
      scales[c] = load_plane(values, IS_BLOCKS(CACHE_V), V_SCALES, (chunk + c) / 2, 1.0f);
      minimums[c] = load_plane(values, HAS_MINIMUM(CACHE_V), V_MINIMUMS, (chunk + c) / 2, 0.0f);
    }
    #pragma nounroll
    for (uint slot = 0; slot < slots; ++slot) {
      const float *row = probabilities + t * ROWS * 16 + slot;
      #pragma unroll
      for (uint c = 0; c < OUTPUT_CHUNKS; ++c) {
        const float16 value = load_v(values, chunk + c, slot, ((const float *)&scales[c])[slot],
                                     ((const float *)&minimums[c])[slot]);
        #pragma unroll
        for (uint r = 0; r < ROWS; ++r) sums[c * ROWS + r] = fma((float16)(row[r * 16]), value, sums[c * ROWS + r]);
      }
    }
  }
  #pragma unroll
  for (uint c = 0; c < OUTPUT_CHUNKS; ++c) {
    #pragma unroll
    for (uint r = 0; r < ROWS; ++r) o[(chunk + c) * ROWS + r] = sums[c * ROWS + r];
  }
}

// Row r is at position `position + r * ROW_STEP` and sees what its window leaves of the positions up to there. `end` is
// the first position without keys. k and v are where the kv head begins in the first page. queries[element][row];
// o[chunk][row] is left undivided by total[row].
static inline void NAME(attend)(const float *queries, const float *sinks, const global uchar *k, const global uchar *v,
                                const global uint *pages, uint kv_heads, tile_range range, uint position, uint end,
                                float softcap, uint window, uint chunked, float16 *o, float *most, float16 *total) {
  const int16 slots = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  float16 scores[BLOCK_TILES * ROWS];
  float factors[ROWS];
  for (uint i = 0; i < HEAD_CHUNKS * ROWS; ++i) o[i] = 0.0f;
  for (uint r = 0; r < ROWS; ++r) {
    most[r] = first_most(sinks[r]);
    total[r] = 0.0f;
    total[r].s0 = first_total(sinks[r]);
  }
  const uint last_start = window_start(position + (ROWS - 1) * ROW_STEP, window, chunked);
  for (uint tile = range.first, tiles; tile < range.last; tile += tiles) {
    tiles = min(range.last - tile, BLOCK_TILES - tile % BLOCK_TILES);
    const ulong place = tile_place(pages, tile, kv_heads);
    const global uchar *keys = k + place * K_TILE_BYTES, *values = v + place * V_TILE_BYTES;
    for (uint t = 0; t < tiles; t += SCORE_TILES) NAME(scores)(queries, keys, t, tiles, scores + t * ROWS);
    const bool masked = (tile + tiles) * CACHE_TILE > position + 1 || tile * CACHE_TILE < last_start;
    for (uint r = 0; r < ROWS; ++r) {
      const uint row_position = position + r * ROW_STEP;
      const int16 from = (int)window_start(row_position, window, chunked), to = (int)row_position;
      float16 largest = most[r];
      for (uint t = 0; t < tiles; ++t) {
        float16 score = scores[t * ROWS + r];
        if (softcap > 0.0f) score = soft_cap(score, softcap);
        if (masked) {
          const int16 at = slots + (int)((tile + t) * CACHE_TILE);
          score = select(score, (float16)(MASKED), (at < from) | (at > to));
        }
        scores[t * ROWS + r] = score;
        largest = max(score, largest);
      }
      const float new_most = largest16(largest);
      factors[r] = exp(most[r] - new_most);
      most[r] = new_most;
      float16 sum = total[r] * factors[r];
      for (uint t = 0; t < tiles; ++t) {
        const float16 probability = exp(scores[t * ROWS + r] - new_most);
        scores[t * ROWS + r] = probability;
        sum += probability;
      }
      total[r] = sum;
    }
    for (uint chunk = 0; chunk < HEAD_CHUNKS; chunk += OUTPUT_CHUNKS) {
      NAME(add_values)((const float *)scores, values, tiles, end - tile * CACHE_TILE, chunk, factors, o);
    }
  }
}

static inline void NAME(store_row)(const float16 *o, uint row, float factor, global float *to) {
  for (uint c = 0; c < HEAD_SIZE / 16; ++c) store_floats(o[c * ROWS + row] * factor, to + c * 16);
  for (uint e = HEAD_SIZE / 16 * 16; e < HEAD_SIZE; ++e) {
    to[e] = ((const float *)&o[HEAD_SIZE / 16 * ROWS + row])[e % 16] * factor;
  }
}

#undef SCORE_TILES
#undef OUTPUT_CHUNKS
