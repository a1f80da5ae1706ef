// SPDX-License-Identifier: MIT
// One work-item a token. A head is worked on in private memory, in vectors of 16 elements.
#define PADDED_HEAD (HEAD_CHUNKS * 16)

static inline ushort16 to_halves(float16 value) {
#ifdef ASSEMBLY_AVX512
  ushort16 halves;
  __asm__("vcvtps2ph $0, %1, %0" : "=v"(halves) : "v"(value));
  return halves;
#else
  ushort16 halves;
  vstore_half16_rte(value, 0, (private half *)&halves);
  return halves;
#endif
}

static inline float16 load_chunk(const float *h, uint chunk) {
  float16 elements = load_private(h + chunk * 16);
#if HEAD_SIZE % 16 != 0
  // what a head is padded with must not be its least or largest element
  for (uint e = HEAD_SIZE % 16; chunk == HEAD_CHUNKS - 1 && e < 16; ++e) ((float *)&elements)[e] = elements.s0;
#endif
  return elements;
}

static inline int16 levels_of(float16 x, block_scale block, uint type) {
  if (type == CACHE_Q8_0) {
    const float16 rounded = fma(x, (float16)(block.INVERSE), (float16)(ROUNDING));
    return convert_int16(convert_char16(as_int16(rounded)));
  }
  if (type == CACHE_IQ4_NL) {
    const float16 value = x * block.INVERSE;
    int16 level = 0;
    for (uint i = 0; i < 15; ++i) {
      level += select((int16)(0), (int16)(1), value >= (float16)(NON_LINEAR_BORDERS[i]));
    }
    return level;
  }
  const float16 from = HAS_MINIMUM(type) ? x - block.MINIMUM : x;
  const float zero = HAS_MINIMUM(type) ? 0.5f : 0.5f - block_steps(type);
  return convert_int16(min(fma(from, (float16)(block.INVERSE), (float16)(zero)), HAS_HIGH_BIT(type) ? 31.0f : 15.0f));
}

// The scale with which the levels come nearest to the elements, large ones above all, as ggml weighs them.
static inline float fitted_scale(const float *h, uint chunks, const int16 *levels, float scale) {
  float16 products = 0.0f, squares = 0.0f;
  for (uint c = 0; c < chunks; ++c) {
    const float16 x = load_private(h + c * 16);
    float16 value;
    for (uint e = 0; e < 16; ++e) ((float *)&value)[e] = NON_LINEAR[((const int *)&levels[c])[e]];
    products += x * x * value * x;
    squares += x * x * value * value;
  }
  const float sum = sum16(squares);
  return sum > 0.0f ? sum16(products) / sum : scale;
}

// The block of 32 elements (the last one of a head may hold 16) from chunk 2 * `index` of a head on.
static inline block_scale quantise_block(const float *h, uint index, uint type, int16 *levels) {
  const uint chunks = min(2u, HEAD_CHUNKS - index * 2);
  float16 least = load_chunk(h, index * 2), largest = least;
  if (chunks > 1) {
    const float16 more = load_chunk(h, index * 2 + 1);
    least = min(least, more);
    largest = max(largest, more);
  }
  block_scale block = scale_of(-largest16(-least), largest16(largest), type);
  levels[1] = 0;
  for (uint c = 0; c < chunks; ++c) levels[c] = levels_of(load_private(h + (index * 2 + c) * 16), block, type);
  if (type == CACHE_IQ4_NL) block.SCALE = fitted_scale(h + index * 32, chunks, levels, block.SCALE);
  return block;
}

// All of a block but its levels; `at` is its place in each of the planes.
static inline void store_planes(block_scale block, const int16 *levels, uint type, uint at, global uint *high,
                                global half *scales, global half *minimums) {
  vstore_half_rte(block.SCALE, at, scales);
  if (HAS_MINIMUM(type)) vstore_half_rte(block.MINIMUM, at, minimums);
  if (!HAS_HIGH_BIT(type)) return;
  uint word = 0;
  for (uint e = 0; e < 32; ++e) word |= (uint)(((const int *)levels)[e] >> 4) << e;
  high[at] = word;
}

// What a head is padded with stays 0.
static inline void subtract_mean(float *h) {
  float16 sums = 0.0f;
  for (uint c = 0; c < HEAD_CHUNKS; ++c) sums += load_private(h + c * 16);
  const float mean = sum16(sums) / HEAD_SIZE;
  for (uint c = 0; c < HEAD_SIZE / 16; ++c) store_private(load_private(h + c * 16) - mean, h + c * 16);
  for (uint e = HEAD_SIZE / 16 * 16; e < HEAD_SIZE; ++e) h[e] -= mean;
}

// The factor of a head's RMS norm.
static inline float head_factor(const float *h, float epsilon) {
  float16 squares = 0.0f;
  for (uint c = 0; c < HEAD_CHUNKS; ++c) squares = fma(load_private(h + c * 16), load_private(h + c * 16), squares);
  return 1.0f / sqrt(sum16(squares) / HEAD_SIZE + epsilon);
}

static inline void norm_with_weights(float *h, global const float *weight, float epsilon) {
  const float factor = head_factor(h, epsilon);
  for (uint c = 0; c < HEAD_SIZE / 16; ++c) {
    store_private(load_private(h + c * 16) * factor * load_floats(weight + c * 16), h + c * 16);
  }
  for (uint e = HEAD_SIZE / 16 * 16; e < HEAD_SIZE; ++e) h[e] = h[e] * factor * weight[e];
}

static inline void norm_head(float *h, global const float *weight, uint norm, float epsilon) {
  if (norm == NORM_LAYER) subtract_mean(h);
  norm_with_weights(h, weight, epsilon);
}

static inline void norm_without_weights(float *h, float epsilon) {
  const float factor = head_factor(h, epsilon);
  for (uint c = 0; c < HEAD_CHUNKS; ++c) store_private(load_private(h + c * 16) * factor, h + c * 16);
}

// Of what has turned, where there is such a norm.
static inline void norm_turned(float *h, uint norm, uint has_weights, global const float *weight, float epsilon) {
  if (norm && has_weights) {
    norm_with_weights(h, weight, epsilon);
  } else if (norm) {
    norm_without_weights(h, epsilon);
  }
}

// Turns the pairs of a head by the angles whose cosines and sines are given.
static inline void rotate_head(float *h, uint rope, uint pairs, const float *cosine, const float *sine) {
  uint i = 0;
  if (rope == ROPE_NEOX) {
    for (; i + 16 <= pairs; i += 16) {
      const float16 a = load_private(h + i), b = load_private(h + pairs + i);
      const float16 c = load_private(cosine + i), s = load_private(sine + i);
      store_private(a * c - b * s, h + i);
      store_private(a * s + b * c, h + pairs + i);
    }
    for (; i < pairs; ++i) {
      const float a = h[i], b = h[pairs + i];
      h[i] = a * cosine[i] - b * sine[i];
      h[pairs + i] = a * sine[i] + b * cosine[i];
    }
    return;
  }
  for (; i + 8 <= pairs; i += 8) {
    const float16 x = load_private(h + 2 * i);
    const float8 c = vload8(0, cosine + i), s = vload8(0, sine + i);
    float16 turned;
    turned.even = x.even * c - x.odd * s;
    turned.odd = x.even * s + x.odd * c;
    store_private(turned, h + 2 * i);
  }
  for (; i < pairs; ++i) {
    const float a = h[2 * i], b = h[2 * i + 1];
    h[2 * i] = a * cosine[i] - b * sine[i];
    h[2 * i + 1] = a * sine[i] + b * cosine[i];
  }
}

static inline void store_k(const float *h, global uchar *tile, uint slot) {
#if CACHE_K == CACHE_F32
  for (uint e = 0; e < HEAD_SIZE; ++e) ((global float *)tile)[e * 16 + slot] = h[e];
#elif CACHE_K == CACHE_BF16
  for (uint e = 0; e < HEAD_SIZE; ++e) ((global ushort *)tile)[e * 16 + slot] = to_bf16(h[e]);
#elif CACHE_K == CACHE_F16
  for (uint c = 0; c < HEAD_CHUNKS; ++c) {
    const ushort16 halves = to_halves(load_private(h + c * 16));
    for (uint e = 0; e < 16 && c * 16 + e < HEAD_SIZE; ++e) {
      ((global ushort *)tile)[(c * 16 + e) * 16 + slot] = ((const ushort *)&halves)[e];
    }
  }
#else
  for (uint block = 0; block < HEAD_BLOCKS; ++block) {
    int16 levels[2];
    const block_scale found = quantise_block(h, block, CACHE_K, levels);
    const uint first = block * 32, count = min(32u, HEAD_SIZE - first);
    if (IS_NIBBLES(CACHE_K)) {
      const uchar16 bytes = convert_uchar16((levels[0] & 15) | (levels[1] & 15) << 4);
      for (uint e = 0; e < 16; ++e) tile[(block * 16 + e) * 16 + slot] = ((const uchar *)&bytes)[e];
    } else {
      for (uint e = 0; e < count; ++e) tile[(first + e) * 16 + slot] = (uchar)((const int *)levels)[e];
    }
    store_planes(found, levels, CACHE_K, block * 16 + slot, (global uint *)(tile + K_HIGH),
                 (global half *)(tile + K_SCALES), (global half *)(tile + K_MINIMUMS));
  }
#endif
}

static inline void store_v(const float *h, global uchar *tile, uint slot) {
#if CACHE_V == CACHE_F32
  for (uint c = 0; c < HEAD_CHUNKS; ++c) {
    store_floats(load_private(h + c * 16), (global float *)tile + (c * 16 + slot) * 16);
  }
#elif CACHE_V == CACHE_BF16
  for (uint e = 0; e < HEAD_CHUNKS * 16; ++e) {
    ((global ushort *)tile)[e / 16 * 256 + slot * 16 + e % 16] = to_bf16(h[e]);
  }
#elif CACHE_V == CACHE_F16
  for (uint c = 0; c < HEAD_CHUNKS; ++c) {
    ((global ushort16 *)tile)[c * 16 + slot] = to_halves(load_private(h + c * 16));
  }
#else
  for (uint block = 0; block < HEAD_BLOCKS; ++block) {
    int16 levels[2];
    const block_scale found = quantise_block(h, block, CACHE_V, levels);
    if (IS_NIBBLES(CACHE_V)) {
      ((global uchar16 *)tile)[block * 16 + slot] = convert_uchar16((levels[0] & 15) | (levels[1] & 15) << 4);
    } else {
      for (uint c = 0; c < min(2u, HEAD_CHUNKS - block * 2); ++c) {
        ((global char16 *)tile)[(block * 2 + c) * 16 + slot] = convert_char16(levels[c]);
      }
    }
    store_planes(found, levels, CACHE_V, block * 16 + slot, (global uint *)(tile + V_HIGH),
                 (global half *)(tile + V_SCALES), (global half *)(tile + V_MINIMUMS));
  }
#endif
}

static inline void load_head(global const float *from, float *h) {
  for (uint c = 0; c < HEAD_SIZE / 16; ++c) store_private(load_floats(from + c * 16), h + c * 16);
  for (uint e = HEAD_SIZE / 16 * 16; e < PADDED_HEAD; ++e) h[e] = e < HEAD_SIZE ? from[e] : 0.0f;
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void store_kv(STORE_ARGUMENTS) {
  const uint token = get_global_id(0), position = step_token(step_info, token)[TOKEN_POSITION];
  global const float *row = qkv + (ulong)token * (heads + 2 * kv_heads) * HEAD_SIZE;
  float h[PADDED_HEAD], cosine[PADDED_HEAD], sine[PADDED_HEAD];
  const uint pairs = rope == ROPE_NONE ? 0 : rotated / 2;
  for (uint i = 0; i < pairs; i += 16) {
    float16 frequency = 0.0f;
    if (i + 16 <= pairs) {
      frequency = load_floats(frequencies + i);
    } else {
      for (uint j = i; j < pairs; ++j) ((float *)&frequency)[j - i] = frequencies[j];
    }
    float16 s, c;
    sine_cosine((float)position * frequency, &s, &c);
    store_private(c * magnitude, cosine + i);
    store_private(s * magnitude, sine + i);
  }
  const float factor = query_factor(position, q_factor, scale_length, scale_offset, scale_factor);
  for (uint head = 0; head < heads; ++head, row += HEAD_SIZE) {
    load_head(row, h);
    if (head_norm != NORM_NONE) norm_head(h, q_norm + head * head_weights, head_norm, epsilon);
    if (pairs) rotate_head(h, rope, pairs, cosine, sine);
    norm_turned(h, turned_norm, turned_weights, q_norm + head * head_weights, epsilon);
    global float *to = q + ((ulong)token * heads + head) * HEAD_SIZE;
    for (uint c = 0; c < HEAD_SIZE / 16; ++c) store_floats(load_private(h + c * 16) * factor, to + c * 16);
    for (uint e = HEAD_SIZE / 16 * 16; e < HEAD_SIZE; ++e) to[e] = h[e] * factor;
  }
  const uint slot = position % CACHE_TILE, sequence = step_token(step_info, token)[TOKEN_SEQUENCE];
  const ulong place = tile_place(pages + (ulong)sequence * pages_row, position / CACHE_TILE, kv_heads);
  for (uint head = 0; head < kv_heads; ++head, row += HEAD_SIZE) {
    load_head(row, h);
    if (head_norm != NORM_NONE) norm_head(h, k_norm + head * head_weights, head_norm, epsilon);
    if (pairs) rotate_head(h, rope, pairs, cosine, sine);
    norm_turned(h, turned_norm, turned_weights, k_norm + head * head_weights, epsilon);
    store_k(h, k + (place + head * PAGE_TILES) * K_TILE_BYTES, slot);
  }
  for (uint head = 0; head < kv_heads; ++head, row += HEAD_SIZE) {
    load_head(row, h);
    if (value_norm) norm_without_weights(h, epsilon);
    store_v(h, v + (place + head * PAGE_TILES) * V_TILE_BYTES, slot);
  }
}
