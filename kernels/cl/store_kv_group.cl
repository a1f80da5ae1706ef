// SPDX-License-Identifier: MIT
// One work-group of 64 a token and head; head numbers run over Q, K and V.

// Element e of a head, at `index` of a tile whose scales start at byte `scales_at`.
static inline void store_element(float value, local const float *scales, uint e, global uchar *tile, uint index,
                                 uint scales_at, uint slot, uint type) {
  if (type == CACHE_F32) {
    ((global float *)tile)[index] = value;
  } else if (type == CACHE_F16) {
    vstore_half_rte(value, index, (global half *)tile);
  } else if (type == CACHE_BF16) {
    ((global ushort *)tile)[index] = to_bf16(value);
  } else {
    const uint block = e / 32;
    ((global char *)tile)[index] = (char)as_int(fma(value, scales[block], ROUNDING));
    if (e % 32 == 0) vstore_half_rte(scales[HEAD_BLOCKS + block], block * 16 + slot, (global half *)(tile + scales_at));
  }
}

// Of four or five bits.
static inline uint level_of(float x, block_scale block, uint type) {
  if (type == CACHE_IQ4_NL) {
    const float value = x * block.INVERSE;
    uint level = 0;
    for (uint i = 0; i < 15; ++i) level += value >= NON_LINEAR_BORDERS[i] ? 1 : 0;
    return level;
  }
  const float from = HAS_MINIMUM(type) ? x - block.MINIMUM : x;
  const float zero = HAS_MINIMUM(type) ? 0.5f : 0.5f - block_steps(type);
  return convert_uint(min(fma(from, block.INVERSE, zero), HAS_HIGH_BIT(type) ? 31.0f : 15.0f));
}

// The scale with which the levels come nearest to the elements, large ones above all, as ggml weighs them.
static inline float fitted_scale(local const float *h, uint first, uint last, block_scale block) {
  float products = 0.0f, squares = 0.0f;
  for (uint e = first; e < last; ++e) {
    const float value = NON_LINEAR[level_of(h[e], block, CACHE_IQ4_NL)];
    products += h[e] * h[e] * value * h[e];
    squares += h[e] * h[e] * value * value;
  }
  return squares > 0.0f ? products / squares : block.SCALE;
}

static inline block_scale quantise_block(local const float *h, uint index, uint type) {
  const uint first = index * 32, last = min(first + 32, (uint)HEAD_SIZE);
  float least = h[first], largest = h[first];
  for (uint e = first + 1; e < last; ++e) {
    least = min(h[e], least);
    largest = max(h[e], largest);
  }
  block_scale block = scale_of(least, largest, type);
  if (type == CACHE_IQ4_NL) block.SCALE = fitted_scale(h, first, last, block);
  return block;
}

// All planes of a head whose levels have four or five bits. Pairs of elements lie `step` bytes apart within a block.
static inline void store_nibbles(local const uchar *levels, local const float *scales, local const uint *words,
                                 uint slot, uint type, global uchar *pairs, uint step, global uint *high,
                                 global half *to_scales, global half *to_minimums) {
  const uint lane = get_local_id(0);
  for (uint i = lane; i < HEAD_BLOCKS * 16; i += GROUP_LANES) {
    const uint first = i / 16 * 32 + i % 16;
    pairs[i / 16 * 256 + i % 16 * step] = (uchar)((levels[first] & 15) | (levels[first + 16] & 15) << 4);
  }
  for (uint block = lane; block < HEAD_BLOCKS; block += GROUP_LANES) {
    const uint at = block * 16 + slot;
    vstore_half_rte(scales[HEAD_BLOCKS + block], at, to_scales);
    if (HAS_HIGH_BIT(type)) high[at] = words[block];
    if (HAS_MINIMUM(type)) vstore_half_rte(scales[2 * HEAD_BLOCKS + block], at, to_minimums);
  }
}

// The sum of a value of each lane, in every lane. Barriers must not depend on arguments: PoCL 3.1 computes wrong numbers
// where they do.
static inline float group_sum(local float *partial, float value) {
  partial[get_local_id(0)] = value;
  barrier(CLK_LOCAL_MEM_FENCE);
  float sum = 0.0f;
  for (uint i = 0; i < GROUP_LANES; ++i) sum += partial[i];
  barrier(CLK_LOCAL_MEM_FENCE);
  return sum;
}

kernel __attribute__((reqd_work_group_size(GROUP_LANES, 1, 1))) void store_kv(STORE_ARGUMENTS) {
  local float h[HEAD_CHUNKS * 16], partial[GROUP_LANES], scales[3 * HEAD_BLOCKS];
  local uint words[HEAD_BLOCKS];
  local uchar levels[HEAD_BLOCKS * 32];
  const uint lane = get_local_id(0), head = get_group_id(0), token = get_group_id(1);
  global const uint *of_token = step_token(step_info, token);
  const uint position = of_token[TOKEN_POSITION];
  global const float *row = qkv + ((ulong)token * (heads + 2 * kv_heads) + head) * HEAD_SIZE;
  const bool is_v = head >= heads + kv_heads;
  float sum = 0.0f;
  for (uint e = HEAD_SIZE + lane; e < HEAD_CHUNKS * 16; e += GROUP_LANES) h[e] = 0.0f;
  for (uint e = lane; e < HEAD_SIZE; e += GROUP_LANES) {
    h[e] = row[e];
    sum += row[e];
  }
  const float mean = group_sum(partial, sum) / HEAD_SIZE, shift = head_norm == NORM_LAYER && !is_v ? mean : 0.0f;
  global const float *weight = head < heads ? q_norm + head * head_weights : k_norm + (head - heads) * head_weights;
  float squares = 0.0f, turned = 0.0f;
  for (uint e = lane; e < HEAD_SIZE; e += GROUP_LANES) {
    h[e] -= shift;
    squares += h[e] * h[e];
  }
  squares = group_sum(partial, squares);
  if (is_v ? value_norm : head_norm != NORM_NONE) {
    const float factor = 1.0f / sqrt(squares / HEAD_SIZE + epsilon);
    for (uint e = lane; e < HEAD_SIZE; e += GROUP_LANES) h[e] = h[e] * factor * (is_v ? 1.0f : weight[e]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const uint pairs = rope == ROPE_NONE || is_v ? 0 : rotated / 2;
  for (uint i = lane; i < pairs; i += GROUP_LANES) {
    float s, c;
    sine_cosine((float)position * frequencies[i], &s, &c);
    const uint first = rope == ROPE_NEOX ? i : 2 * i, second = rope == ROPE_NEOX ? i + pairs : 2 * i + 1;
    const float a = h[first], b = h[second];
    h[first] = (a * c - b * s) * magnitude;
    h[second] = (a * s + b * c) * magnitude;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint e = lane; e < HEAD_SIZE; e += GROUP_LANES) turned += h[e] * h[e];
  turned = group_sum(partial, turned);
  if (turned_norm && !is_v) {
    const float factor = 1.0f / sqrt(turned / HEAD_SIZE + epsilon);
    for (uint e = lane; e < HEAD_SIZE; e += GROUP_LANES) h[e] = h[e] * factor * (turned_weights ? weight[e] : 1.0f);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
#if IS_BLOCKS(CACHE_K) || IS_BLOCKS(CACHE_V)
  // Of each block of 32 elements the inverse scale; behind all of those the scales, then the minimums. All of it before
  // K and V part: PoCL 3.1 computes wrong numbers in what only some work-groups do.
  const uint type = is_v ? CACHE_V : CACHE_K;
  for (uint index = lane; index < HEAD_BLOCKS; index += GROUP_LANES) {
    const block_scale block = quantise_block(h, index, type);
    scales[index] = block.INVERSE;
    scales[HEAD_BLOCKS + index] = block.SCALE;
    scales[2 * HEAD_BLOCKS + index] = block.MINIMUM;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
#endif
#if IS_NIBBLES(CACHE_K) || IS_NIBBLES(CACHE_V)
  for (uint e = lane; e < HEAD_BLOCKS * 32; e += GROUP_LANES) {
    block_scale block = 0.0f;
    block.INVERSE = scales[e / 32];
    block.MINIMUM = scales[2 * HEAD_BLOCKS + e / 32];
    levels[e] = e < HEAD_CHUNKS * 16 ? (uchar)level_of(h[e], block, type) : 0;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint index = lane; index < HEAD_BLOCKS; index += GROUP_LANES) {
    uint word = 0;
    for (uint e = index * 32; e < index * 32 + 32; ++e) word |= (uint)(levels[e] >> 4) << e % 32;
    words[index] = word;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
#endif
  const uint slot = position % CACHE_TILE;
  const ulong place = tile_place(pages + (ulong)of_token[TOKEN_SEQUENCE] * pages_row, position / CACHE_TILE, kv_heads);
  if (head < heads) {
    const float factor = query_factor(position, q_factor, scale_length, scale_offset, scale_factor);
    global float *to = q + ((ulong)token * heads + head) * HEAD_SIZE;
    for (uint e = lane; e < HEAD_SIZE; e += GROUP_LANES) to[e] = h[e] * factor;
  } else if (!is_v) {
    global uchar *tile = k + (place + (head - heads) * PAGE_TILES) * K_TILE_BYTES;
#if IS_NIBBLES(CACHE_K)
    store_nibbles(levels, scales, words, slot, CACHE_K, tile + slot, 16, (global uint *)(tile + K_HIGH),
                  (global half *)(tile + K_SCALES), (global half *)(tile + K_MINIMUMS));
#else
    for (uint e = lane; e < HEAD_SIZE; e += GROUP_LANES) {
      store_element(h[e], scales, e, tile, e * 16 + slot, K_SCALES, slot, CACHE_K);
    }
#endif
  } else {
    global uchar *tile = v + (place + (head - heads - kv_heads) * PAGE_TILES) * V_TILE_BYTES;
#if IS_NIBBLES(CACHE_V)
    store_nibbles(levels, scales, words, slot, CACHE_V, tile + slot * 16, 1, (global uint *)(tile + V_HIGH),
                  (global half *)(tile + V_SCALES), (global half *)(tile + V_MINIMUMS));
#else
    for (uint e = lane; e < HEAD_CHUNKS * 16; e += GROUP_LANES) {
      store_element(h[e], scales, e, tile, e / 16 * 256 + slot * 16 + e % 16, V_SCALES, slot, CACHE_V);
    }
#endif
  }
}
