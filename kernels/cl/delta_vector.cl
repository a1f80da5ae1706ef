// SPDX-License-Identifier: MIT
// One work-item a tile and key head, a run and sixteen columns of a value head, or a short run and some of its columns.

// Inlined before anything else, so that `tokens` is a number where loops are unrolled: TILE, or FEW where no token
// from there on exists.
#define INLINE static inline __attribute__((always_inline))
#define FEW (TILE / 4)

// sums[t] = sum of rows[i][t] * vectors[i] over i for the first `tokens`, 0 for the others.
INLINE void project(global const float *rows, global const float *vectors, float16 *sums, const uint tokens) {
  // Always sixteen sums, which hide the latency of an addition.
  const uint at_once = TILE / tokens;
  float16 acc[TILE];
  #pragma unroll
  for (uint t = 0; t < TILE; ++t) acc[t] = 0.0f;
  #pragma nounroll
  for (uint i = 0; i < KEY_SIZE; i += at_once) {
    #pragma unroll
    for (uint r = 0; r < at_once; ++r) {
      const float16 vector = load_floats(vectors + (i + r) * 16);
      #pragma unroll
      for (uint t = 0; t < tokens; ++t) {
        acc[r * tokens + t] = fma((float16)(rows[(i + r) * TILE + t]), vector, acc[r * tokens + t]);
      }
    }
  }
  #pragma unroll
  for (uint t = 0; t < TILE; ++t) {
    float16 sum = 0.0f;
    if (t < tokens) sum = acc[t];
    #pragma unroll
    for (uint r = tokens; r < TILE; r += tokens) {
      if (t < tokens) sum += acc[r + t];
    }
    sums[t] = sum;
  }
}

// 1 / sqrt(sum(x^2) + epsilon).
static inline float unit_factor(global const float *x, float epsilon) {
  float16 squares = 0.0f;
  for (uint i = 0; i < KEY_SIZE; i += 16) {
    const float16 value = load_floats(x + i);
    squares = fma(value, value, squares);
  }
  return 1.0f / sqrt(sum16(squares) + epsilon);
}

// to[element][token] of a tile's rows, made unit vectors times `scale`; zeros beyond the last token.
static inline void transpose_units(global const float *rows, uint channels, uint tokens, float epsilon, float scale,
                                   global float *to) {
  float units[TILE * KEY_SIZE];
  for (uint t = 0; t < TILE; ++t) {
    const float factor = t < tokens ? scale * unit_factor(rows + (ulong)t * channels, epsilon) : 0.0f;
    for (uint i = 0; i < KEY_SIZE; i += 16) {
      float16 value = 0.0f;
      if (t < tokens) value = load_floats(rows + (ulong)t * channels + i) * factor;
      store_private(value, units + t * KEY_SIZE + i);
    }
  }
  for (uint i = 0; i < KEY_SIZE; ++i) {
    float16 column;
    #pragma unroll
    for (uint t = 0; t < TILE; ++t) ((float *)&column)[t] = units[t * KEY_SIZE + i];
    store_floats(column, to + i * TILE);
  }
}

// T, B, P and M[last] of a value head from the products keys[t][s] and queries[t][s] of its key head.
static inline void head_matrices(const float16 *keys, const float16 *queries, const float *betas, const float *decays,
                                 global float *to) {
  float16 rows[TILE], m = 0.0f, p;
  float product = 1.0f;
  #pragma unroll
  for (uint t = 0; t < TILE; ++t) {
    product *= decays[t];
    ((float *)&p)[t] = product;
    m *= decays[t];
    const float16 a = m * keys[t] * betas[t];
    float16 row = 0.0f;
    ((float *)&row)[t] = 1.0f;
    #pragma unroll
    for (uint s = 0; s < t; ++s) row = fma((float16)(-((const float *)&a)[s]), rows[s], row);
    rows[t] = row;
    ((float *)&m)[t] = 1.0f;
    store_floats(m * queries[t], to + B_AT + t * TILE);
  }
  const float16 factors = load_private(betas);
  for (uint t = 0; t < TILE; ++t) store_floats(rows[t] * factors, to + t * TILE);
  store_floats(p, to + P_AT);
  store_floats(m, to + LAST_AT);
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void delta_tiles(DELTA_INPUTS, global float *scratch) {
  const uint number = get_global_id(0) / key_heads, key_head = get_global_id(0) % key_heads;
  if (number >= step_info[STEP_TILES]) return;
  global const uint *tile = tile_at(step_info, number);
  const uint first = tile[RUN_FIRST], tokens = tile[RUN_TOKENS], channels = channels_of(key_heads, value_heads);
  global const float *query = qkv + (ulong)first * channels + key_head * KEY_SIZE;
  global float *own = scratch + number * tile_floats(key_heads, value_heads);
  global float *keys = own + (ulong)key_head * KEY_FLOATS, *queries = keys + KEY_SIZE * TILE;
  transpose_units(query + key_heads * KEY_SIZE, channels, tokens, epsilon, 1.0f, keys);
  transpose_units(query, channels, tokens, epsilon, 1.0f / sqrt((float)KEY_SIZE), queries);
  float16 key_products[TILE], query_products[TILE];
  project(keys, keys, key_products, TILE);
  project(queries, keys, query_products, TILE);
  for (uint head = 0; head < value_heads; ++head) {
    if (key_head_of(head, key_heads, value_heads, tiled) != key_head) continue;
    float betas[TILE], decays[TILE];
    // Tokens that do not exist add nothing to the state and leave it as it is.
    for (uint t = 0; t < TILE; ++t) {
      betas[t] = t < tokens ? BETA(first + t, head) : 0.0f;
      decays[t] = t < tokens ? ALPHA(first + t, head) : 0.0f;
    }
    float16 b = sigmoid(load_private(betas)), g = decay_of(load_private(decays) + dt[head], (float16)(a[head]));
    for (uint t = tokens; t < TILE; ++t) {
      ((float *)&b)[t] = 0.0f;
      ((float *)&g)[t] = 1.0f;
    }
    store_private(b, betas);
    store_private(g, decays);
    head_matrices(key_products, query_products, betas, decays,
                  own + (ulong)key_heads * KEY_FLOATS + (ulong)head * DELTA_HEAD_FLOATS);
  }
}

// sums[t] += sum of rows[t][s] * vectors[s] over s <= t.
INLINE void add_lower(global const float *rows, const float16 *vectors, float16 *sums, const uint tokens) {
  #pragma unroll
  for (uint t = 0; t < tokens; ++t) {
    float16 sum = sums[t];
    #pragma unroll
    for (uint s = 0; s <= t; ++s) sum = fma((float16)(rows[t * TILE + s]), vectors[s], sum);
    sums[t] = sum;
  }
}

// state[i] = decay * state[i] + sum of keys[i][t] * added[t] over t.
INLINE void update_state(global const float *keys, const float16 *added, float decay, global float *state,
                         const uint tokens) {
  #pragma nounroll
  for (uint i = 0; i < KEY_SIZE; i += 8) {
    float16 acc[8];
    #pragma unroll
    for (uint r = 0; r < 8; ++r) acc[r] = load_floats(state + (i + r) * 16) * decay;
    #pragma unroll
    for (uint t = 0; t < tokens; ++t) {
      #pragma unroll
      for (uint r = 0; r < 8; ++r) acc[r] = fma((float16)(keys[(i + r) * TILE + t]), added[t], acc[r]);
    }
    #pragma unroll
    for (uint r = 0; r < 8; ++r) store_floats(acc[r], state + (i + r) * 16);
  }
}

// Sixteen columns of a value head in a tile: `count` tokens, at most `tokens`.
INLINE void chunk(global const float *keys, global const float *matrices, global const float *value, uint value_row,
                  global float *state, global float *out, uint out_row, uint count, const uint tokens) {
  float16 u[TILE], d[TILE];
  project(keys, state, u, tokens);
  #pragma unroll
  for (uint t = 0; t < tokens; ++t) {
    float16 v = 0.0f;
    if (t < count) v = load_floats(value + (ulong)t * value_row);
    u[t] = v - matrices[P_AT + t] * u[t];
    d[t] = 0.0f;
  }
  add_lower(matrices, u, d, tokens);
  project(keys + KEY_SIZE * TILE, state, u, tokens);
  #pragma unroll
  for (uint t = 0; t < tokens; ++t) u[t] *= matrices[P_AT + t];
  add_lower(matrices + B_AT, d, u, tokens);
  #pragma unroll
  for (uint t = 0; t < tokens; ++t) {
    if (t < count) store_floats(u[t], out + (ulong)t * out_row);
    d[t] *= matrices[LAST_AT + t];
  }
  update_state(keys, d, matrices[P_AT + TILE - 1], state, tokens);
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void delta_chunks(CHUNK_ARGUMENTS) {
  const uint task = get_global_id(0), block = task % BLOCKS, head = task / BLOCKS % value_heads;
  const uint number = task / BLOCKS / value_heads;
  if (number >= step_info[STEP_LONG_RUNS]) return;
  global const uint *run = run_at(step_info, number);
  const uint key_head = key_head_of(head, key_heads, value_heads, tiled), tokens = run[RUN_TOKENS];
  const uint channels = channels_of(key_heads, value_heads), out_row = value_heads * VALUE_SIZE;
  const uint column = head * VALUE_SIZE + block * 16;
  global float *columns = state + ((ulong)(run[RUN_SEQUENCE] * value_heads + head) * BLOCKS + block) * BLOCK_FLOATS;
  if (run[RUN_POSITION] == 0) {
    for (uint i = 0; i < KEY_SIZE; ++i) store_floats(0.0f, columns + i * 16);
  }
  const ulong stride = tile_floats(key_heads, value_heads);
  global const float *tile = scratch + first_tile(step_info, number) * stride;
  for (uint begin = 0; begin < tokens; begin += TILE, tile += stride) {
    global const float *keys = tile + (ulong)key_head * KEY_FLOATS;
    global const float *matrices = tile + (ulong)key_heads * KEY_FLOATS + (ulong)head * DELTA_HEAD_FLOATS;
    const uint first = run[RUN_FIRST] + begin, count = min(tokens - begin, TILE);
    global const float *value = qkv + (ulong)first * channels + 2 * key_heads * KEY_SIZE + column;
    if (count > FEW) {
      chunk(keys, matrices, value, channels, columns, out + (ulong)first * out_row + column, out_row, count, TILE);
    } else {
      chunk(keys, matrices, value, channels, columns, out + (ulong)first * out_row + column, out_row, count, FEW);
    }
  }
}

// Columns of one token: S = g S + k d^T with d = b (v - g S^T k), out = S^T q = g S_old^T q + (q . k) d. One pass reads
// the state, another one that it is still in the cache for writes it.
static inline void one_token(const float *keys, const float *queries, float product, float g, float b, float16 value,
                             bool fresh, global float *state, global float *out) {
  float16 of_key[4], of_query[4];
  #pragma unroll
  for (uint r = 0; r < 4; ++r) of_key[r] = of_query[r] = 0.0f;
  if (!fresh) {
    #pragma nounroll
    for (uint i = 0; i < KEY_SIZE; i += 4) {
      #pragma unroll
      for (uint r = 0; r < 4; ++r) {
        const float16 row = load_floats(state + (i + r) * 16);
        of_key[r] = fma((float16)(keys[i + r]), row, of_key[r]);
        of_query[r] = fma((float16)(queries[i + r]), row, of_query[r]);
      }
    }
  }
  const float16 d = b * (value - g * ((of_key[0] + of_key[1]) + (of_key[2] + of_key[3])));
  store_floats(g * ((of_query[0] + of_query[1]) + (of_query[2] + of_query[3])) + product * d, out);
  if (fresh) {
    for (uint i = 0; i < KEY_SIZE; ++i) store_floats(keys[i] * d, state + i * 16);
    return;
  }
  #pragma nounroll
  for (uint i = 0; i < KEY_SIZE; i += 4) {
    #pragma unroll
    for (uint r = 0; r < 4; ++r) {
      const float16 row = load_floats(state + (i + r) * 16);
      store_floats(fma((float16)(keys[i + r]), d, g * row), state + (i + r) * 16);
    }
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void delta_singles(DELTA_INPUTS, global float *state,
                                                                         global float *out) {
  const uint parts = (BLOCKS + DELTA_SINGLE_BLOCKS - 1) / DELTA_SINGLE_BLOCKS;
  const uint task = get_global_id(0), part = task % parts, head = task / parts % value_heads;
  const uint number = task / parts / value_heads;
  if (number >= short_runs(step_info)) return;
  global const uint *run = run_at(step_info, step_info[STEP_LONG_RUNS] + number);
  const uint token = run[RUN_FIRST], key_head = key_head_of(head, key_heads, value_heads, tiled);
  const uint channels = channels_of(key_heads, value_heads);
  global const float *query = qkv + (ulong)token * channels + key_head * KEY_SIZE, *key = query + key_heads * KEY_SIZE;
  const float key_factor = unit_factor(key, epsilon);
  const float query_factor = unit_factor(query, epsilon) / sqrt((float)KEY_SIZE);
  float keys[KEY_SIZE], queries[KEY_SIZE];
  float16 products = 0.0f;
  for (uint i = 0; i < KEY_SIZE; i += 16) {
    const float16 k = load_floats(key + i) * key_factor, q = load_floats(query + i) * query_factor;
    store_private(k, keys + i);
    store_private(q, queries + i);
    products = fma(k, q, products);
  }
  const float16 b = sigmoid((float16)(BETA(token, head)));
  const float16 g = decay_of((float16)(ALPHA(token, head) + dt[head]), (float16)(a[head]));
  const uint end = min((part + 1) * DELTA_SINGLE_BLOCKS, (uint)BLOCKS);
  for (uint block = part * DELTA_SINGLE_BLOCKS; block < end; ++block) {
    const uint column = head * VALUE_SIZE + block * 16;
    const float16 value = load_floats(qkv + (ulong)token * channels + 2 * key_heads * KEY_SIZE + column);
    one_token(keys, queries, sum16(products), g.s0, b.s0, value, run[RUN_POSITION] == 0,
              state + ((ulong)(run[RUN_SEQUENCE] * value_heads + head) * BLOCKS + block) * BLOCK_FLOATS,
              out + (ulong)token * value_heads * VALUE_SIZE + column);
  }
}
