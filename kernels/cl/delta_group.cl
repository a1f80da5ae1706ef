// SPDX-License-Identifier: MIT
// One work-group a tile and key head, or a run and sixteen columns of a value head: lane l has column l % 16 and of the
// elements of a key the l / 16-th quarter, whose rows of the state it keeps in registers.
#define LANES GROUP_LANES
#define QUARTERS (LANES / 16)
#define QUARTER (KEY_SIZE / QUARTERS)
// What takes a pointer to local memory. Where only one kernel calls a function, the compiler puts the kernel's array in
// place of the pointer; in a function that is not inlined yet, PoCL 3.1 then takes it for a static one, which all
// work-groups share.
#define INLINE static inline __attribute__((always_inline))

// The sum over the lanes of the four quarters of one column, in all of them.
INLINE float sum_quarters(local float *partial, float value) {
  const uint lane = get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  partial[lane] = value;
  barrier(CLK_LOCAL_MEM_FENCE);
  float sum = 0.0f;
  for (uint i = 0; i < QUARTERS; ++i) sum += partial[i * 16 + lane % 16];
  return sum;
}

// Here a column is a token: to[element][token] of a tile's rows, made unit vectors times `scale`.
INLINE void transpose_units(local float *partial, global const float *rows, uint channels, uint tokens,
                                   float epsilon, float scale, global float *to) {
  const uint t = get_local_id(0) % 16, from = get_local_id(0) / 16 * QUARTER;
  const bool exists = t < tokens;
  global const float *row = rows + (ulong)(exists ? t : 0) * channels;
  float squares = 0.0f;
  for (uint i = from; i < from + QUARTER; ++i) squares = fma(row[i], row[i], squares);
  const float factor = scale / sqrt(sum_quarters(partial, squares) + epsilon);
  for (uint i = from; i < from + QUARTER; ++i) to[i * TILE + t] = exists ? row[i] * factor : 0.0f;
}

// T, B, P and M[last] of a value head, of which each of the first sixteen lanes makes a column s.
INLINE void head_matrices(local const float *keys, local const float *queries, local const float *betas,
                                 local const float *decays, global float *to) {
  const uint s = get_local_id(0);
  if (s >= TILE) return;
  float column[TILE], m = 0.0f, product = 1.0f;
  for (uint t = 0; t < TILE; ++t) {
    product *= decays[t];
    m = t == s ? 1.0f : m * decays[t];
    to[B_AT + t * TILE + s] = m * queries[t * TILE + s];
    if (t == s) to[P_AT + t] = product;
    float value = t == s ? 1.0f : 0.0f;
    // The decays between j and t once more, backwards.
    float between = decays[t] * betas[t];
    for (uint j = t; j > s; --j) {
      value = fma(-between * keys[t * TILE + j - 1], column[j - 1], value);
      between *= decays[j - 1];
    }
    column[t] = value;
    to[t * TILE + s] = value * betas[s];
  }
  to[LAST_AT + s] = m;
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void delta_tiles(DELTA_INPUTS, global float *scratch) {
  local float partial[LANES], key_products[TILE * TILE], query_products[TILE * TILE], betas[TILE], decays[TILE];
  const uint lane = get_local_id(0), number = get_group_id(0) / key_heads, key_head = get_group_id(0) % key_heads;
  if (number >= step_info[STEP_TILES]) return;
  global const uint *tile = tile_at(step_info, number);
  const uint first = tile[RUN_FIRST], tokens = tile[RUN_TOKENS], channels = channels_of(key_heads, value_heads);
  global const float *query = qkv + (ulong)first * channels + key_head * KEY_SIZE;
  global float *own = scratch + number * tile_floats(key_heads, value_heads);
  global float *keys = own + (ulong)key_head * KEY_FLOATS, *queries = keys + KEY_SIZE * TILE;
  transpose_units(partial, query + key_heads * KEY_SIZE, channels, tokens, epsilon, 1.0f, keys);
  transpose_units(partial, query, channels, tokens, epsilon, 1.0f / sqrt((float)KEY_SIZE), queries);
  barrier(CLK_GLOBAL_MEM_FENCE);
  for (uint at = lane; at < TILE * TILE; at += LANES) {
    const uint t = at / TILE, s = at % TILE;
    float of_keys = 0.0f, of_queries = 0.0f;
    for (uint i = 0; i < KEY_SIZE; ++i) {
      of_keys = fma(keys[i * TILE + t], keys[i * TILE + s], of_keys);
      of_queries = fma(queries[i * TILE + t], keys[i * TILE + s], of_queries);
    }
    key_products[at] = of_keys;
    query_products[at] = of_queries;
  }
  // Which value heads a key head has, as key_head_of() says backwards.
  const uint sharing = value_heads / key_heads;
  for (uint i = 0; i < sharing; ++i) {
    const uint head = tiled ? i * key_heads + key_head : key_head * sharing + i;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane < TILE) {
      // Tokens that do not exist add nothing to the state and leave it as it is.
      const bool exists = lane < tokens;
      const uint token = exists ? first + lane : first;
      betas[lane] = exists ? sigmoid(BETA(token, head)) : 0.0f;
      decays[lane] = exists ? decay_of(ALPHA(token, head) + dt[head], a[head]) : 1.0f;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    head_matrices(key_products, query_products, betas, decays,
                  own + (ulong)key_heads * KEY_FLOATS + (ulong)head * DELTA_HEAD_FLOATS);
  }
}

// sums[t] of this lane's column: those of rows[i][t] * state[i] over its quarter of i, added up with the other
// quarters'.
INLINE void project(local float *partial, global const float *rows, const float *state, float *sums) {
  const uint lane = get_local_id(0);
  for (uint t = 0; t < TILE; ++t) sums[t] = 0.0f;
  for (uint i = 0; i < QUARTER; ++i) {
    for (uint t = 0; t < TILE; ++t) sums[t] = fma(rows[i * TILE + t], state[i], sums[t]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint t = 0; t < TILE; ++t) partial[t * LANES + lane] = sums[t];
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint t = 0; t < TILE; ++t) {
    float sum = 0.0f;
    for (uint i = 0; i < QUARTERS; ++i) sum += partial[t * LANES + i * 16 + lane % 16];
    sums[t] = sum;
  }
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void delta_chunks(CHUNK_ARGUMENTS) {
  local float partial[TILE * LANES];
  const uint lane = get_local_id(0), task = get_group_id(0), block = task % BLOCKS;
  const uint head = task / BLOCKS % value_heads, number = task / BLOCKS / value_heads;
  if (number >= step_info[STEP_LONG_RUNS]) return;
  global const uint *run = run_at(step_info, number);
  const uint key_head = key_head_of(head, key_heads, value_heads, tiled), tokens = run[RUN_TOKENS];
  const uint channels = channels_of(key_heads, value_heads), out_row = value_heads * VALUE_SIZE;
  const uint column = head * VALUE_SIZE + block * 16 + lane % 16, quarter = lane / 16;
  const bool fresh = run[RUN_POSITION] == 0;
  global float *rows = state + ((ulong)(run[RUN_SEQUENCE] * value_heads + head) * BLOCKS + block) * BLOCK_FLOATS +
                       quarter * QUARTER * 16 + lane % 16;
  float s[QUARTER];
  for (uint i = 0; i < QUARTER; ++i) s[i] = fresh ? 0.0f : rows[i * 16];
  const ulong stride = tile_floats(key_heads, value_heads);
  global const float *tile = scratch + first_tile(step_info, number) * stride;
  for (uint begin = 0; begin < tokens; begin += TILE, tile += stride) {
    global const float *keys = tile + (ulong)key_head * KEY_FLOATS + quarter * QUARTER * TILE;
    global const float *matrices = tile + (ulong)key_heads * KEY_FLOATS + (ulong)head * DELTA_HEAD_FLOATS;
    const uint first = run[RUN_FIRST] + begin, count = min(tokens - begin, TILE);
    float u[TILE], d[TILE];
    project(partial, keys, s, u);
    for (uint t = 0; t < TILE; ++t) {
      const float v = t < count ? qkv[(ulong)(first + t) * channels + 2 * key_heads * KEY_SIZE + column] : 0.0f;
      u[t] = v - matrices[P_AT + t] * u[t];
    }
    for (uint t = 0; t < TILE; ++t) {
      d[t] = 0.0f;
      for (uint j = 0; j <= t; ++j) d[t] = fma(matrices[t * TILE + j], u[j], d[t]);
    }
    project(partial, keys + KEY_SIZE * TILE, s, u);
    // All lanes of a column know everything about it; each quarter says what it is for four of the tokens.
    for (uint t = quarter; t < count; t += QUARTERS) {
      float sum = matrices[P_AT + t] * u[t];
      for (uint j = 0; j <= t; ++j) sum = fma(matrices[B_AT + t * TILE + j], d[j], sum);
      out[(ulong)(first + t) * out_row + column] = sum;
    }
    for (uint t = 0; t < TILE; ++t) d[t] *= matrices[LAST_AT + t];
    const float decay = matrices[P_AT + TILE - 1];
    for (uint i = 0; i < QUARTER; ++i) {
      float value = s[i] * decay;
      for (uint t = 0; t < TILE; ++t) value = fma(keys[i * TILE + t], d[t], value);
      s[i] = value;
    }
  }
  for (uint i = 0; i < QUARTER; ++i) rows[i * 16] = s[i];
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void delta_singles(DELTA_INPUTS, global float *state,
                                                                             global float *out) {
  local float partial[LANES];
  const uint lane = get_local_id(0), task = get_group_id(0), block = task % BLOCKS;
  const uint head = task / BLOCKS % value_heads, number = task / BLOCKS / value_heads;
  if (number >= short_runs(step_info)) return;
  global const uint *run = run_at(step_info, step_info[STEP_LONG_RUNS] + number);
  const uint token = run[RUN_FIRST], key_head = key_head_of(head, key_heads, value_heads, tiled);
  const uint channels = channels_of(key_heads, value_heads), from = lane / 16 * QUARTER;
  const uint column = head * VALUE_SIZE + block * 16 + lane % 16;
  const bool fresh = run[RUN_POSITION] == 0;
  global const float *query = qkv + (ulong)token * channels + key_head * KEY_SIZE + from;
  global const float *key = query + key_heads * KEY_SIZE;
  global float *rows = state + ((ulong)(run[RUN_SEQUENCE] * value_heads + head) * BLOCKS + block) * BLOCK_FLOATS +
                       from * 16 + lane % 16;
  float key_squares = 0.0f, query_squares = 0.0f, product = 0.0f, of_key = 0.0f, of_query = 0.0f, s[QUARTER];
  for (uint i = 0; i < QUARTER; ++i) {
    s[i] = fresh ? 0.0f : rows[i * 16];
    key_squares = fma(key[i], key[i], key_squares);
    query_squares = fma(query[i], query[i], query_squares);
    product = fma(key[i], query[i], product);
    of_key = fma(key[i], s[i], of_key);
    of_query = fma(query[i], s[i], of_query);
  }
  const float key_factor = 1.0f / sqrt(sum_quarters(partial, key_squares) + epsilon);
  const float query_factor = 1.0f / sqrt(sum_quarters(partial, query_squares) + epsilon) / sqrt((float)KEY_SIZE);
  product = sum_quarters(partial, product) * key_factor * query_factor;
  of_key = sum_quarters(partial, of_key) * key_factor;
  of_query = sum_quarters(partial, of_query) * query_factor;
  const float b = sigmoid(BETA(token, head)), g = decay_of(ALPHA(token, head) + dt[head], a[head]);
  const float value = qkv[(ulong)token * channels + 2 * key_heads * KEY_SIZE + column];
  const float d = b * (value - g * of_key);
  if (lane < 16) out[(ulong)token * value_heads * VALUE_SIZE + column] = fma(product, d, g * of_query);
  for (uint i = 0; i < QUARTER; ++i) rows[i * 16] = fma(key[i] * key_factor, d, g * s[i]);
}
