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

// 32 elements (the last block of a head may hold 16) as signed bytes; returns the scale.
static inline float quantise_block(const float *h, uint chunks, char16 *bytes) {
  float16 largest = fabs(load_private(h));
  if (chunks > 1) largest = max(largest, fabs(load_private(h + 16)));
  const float most = largest16(largest);
  const float inverse = most > 1e-36f ? 127.0f / most : 0.0f;
  for (uint c = 0; c < chunks; ++c) {
    const float16 rounded = fma(load_private(h + c * 16), (float16)(inverse), (float16)(ROUNDING));
    bytes[c] = convert_char16(as_int16(rounded));
  }
  return inverse == 0.0f ? most * 0.0f : most / 127.0f;
}

// The factor of a head's RMS norm.
static inline float head_factor(const float *h, float epsilon) {
  float16 squares = 0.0f;
  for (uint c = 0; c < HEAD_CHUNKS; ++c) squares = fma(load_private(h + c * 16), load_private(h + c * 16), squares);
  return 1.0f / sqrt(sum16(squares) / HEAD_SIZE + epsilon);
}

static inline void norm_head(float *h, global const float *weight, float epsilon) {
  const float factor = head_factor(h, epsilon);
  for (uint c = 0; c < HEAD_SIZE / 16; ++c) {
    store_private(load_private(h + c * 16) * factor * load_floats(weight + c * 16), h + c * 16);
  }
  for (uint e = HEAD_SIZE / 16 * 16; e < HEAD_SIZE; ++e) h[e] = h[e] * factor * weight[e];
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
#elif CACHE_K == CACHE_F16
  for (uint c = 0; c < HEAD_CHUNKS; ++c) {
    const ushort16 halves = to_halves(load_private(h + c * 16));
    for (uint e = 0; e < 16 && c * 16 + e < HEAD_SIZE; ++e) {
      ((global ushort *)tile)[(c * 16 + e) * 16 + slot] = ((const ushort *)&halves)[e];
    }
  }
#else
  for (uint block = 0; block < HEAD_BLOCKS; ++block) {
    char16 bytes[2];
    const float scale = quantise_block(h + block * 32, min(2u, HEAD_CHUNKS - block * 2), bytes);
    for (uint e = 0; e < 32 && block * 32 + e < HEAD_SIZE; ++e) {
      tile[(block * 32 + e) * 16 + slot] = ((const uchar *)bytes)[e];
    }
    vstore_half_rte(scale, block * 16 + slot, (global half *)(tile + K_SCALES));
  }
#endif
}

static inline void store_v(const float *h, global uchar *tile, uint slot) {
#if CACHE_V == CACHE_F32
  for (uint c = 0; c < HEAD_CHUNKS; ++c) {
    store_floats(load_private(h + c * 16), (global float *)tile + (c * 16 + slot) * 16);
  }
#elif CACHE_V == CACHE_F16
  for (uint c = 0; c < HEAD_CHUNKS; ++c) {
    ((global ushort16 *)tile)[c * 16 + slot] = to_halves(load_private(h + c * 16));
  }
#else
  for (uint block = 0; block < HEAD_BLOCKS; ++block) {
    const uint chunks = min(2u, HEAD_CHUNKS - block * 2);
    char16 bytes[2];
    const float scale = quantise_block(h + block * 32, chunks, bytes);
    for (uint c = 0; c < chunks; ++c) ((global char16 *)tile)[(block * 2 + c) * 16 + slot] = bytes[c];
    vstore_half_rte(scale, block * 16 + slot, (global half *)(tile + V_SCALES));
  }
#endif
}

static inline void load_head(global const float *from, float *h) {
  for (uint c = 0; c < HEAD_SIZE / 16; ++c) store_private(load_floats(from + c * 16), h + c * 16);
  for (uint e = HEAD_SIZE / 16 * 16; e < PADDED_HEAD; ++e) h[e] = e < HEAD_SIZE ? from[e] : 0.0f;
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void store_kv(STORE_ARGUMENTS) {
  const uint token = get_global_id(0), position = step_info[0] + token;
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
  for (uint head = 0; head < heads; ++head, row += HEAD_SIZE) {
    load_head(row, h);
    if (head_norm) norm_head(h, q_norm, epsilon);
    if (pairs) rotate_head(h, rope, pairs, cosine, sine);
    global float *to = q + ((ulong)token * heads + head) * HEAD_SIZE;
    for (uint c = 0; c < HEAD_SIZE / 16; ++c) store_floats(load_private(h + c * 16) * q_factor, to + c * 16);
    for (uint e = HEAD_SIZE / 16 * 16; e < HEAD_SIZE; ++e) to[e] = h[e] * q_factor;
  }
  const uint slot = position % 16;
  for (uint head = 0; head < kv_heads; ++head, row += HEAD_SIZE) {
    load_head(row, h);
    if (head_norm) norm_head(h, k_norm, epsilon);
    if (pairs) rotate_head(h, rope, pairs, cosine, sine);
    store_k(h, k + ((ulong)head * cache_tiles + position / 16) * K_TILE_BYTES, slot);
  }
  for (uint head = 0; head < kv_heads; ++head, row += HEAD_SIZE) {
    load_head(row, h);
    if (value_norm) {
      const float factor = head_factor(h, epsilon);
      for (uint c = 0; c < HEAD_CHUNKS; ++c) store_private(load_private(h + c * 16) * factor, h + c * 16);
    }
    store_v(h, v + ((ulong)head * cache_tiles + position / 16) * V_TILE_BYTES, slot);
  }
}
