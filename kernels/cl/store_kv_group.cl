// SPDX-License-Identifier: MIT
// One work-group of 64 a token and head; head numbers run over Q, K and V.
#define GROUP 64

// Element e of a head, at `index` of a tile whose scales start at byte `scales_at`.
static inline void store_element(float value, local const float *scales, uint e, global uchar *tile, uint index,
                                 uint scales_at, uint slot, uint type) {
  if (type == CACHE_F32) {
    ((global float *)tile)[index] = value;
  } else if (type == CACHE_F16) {
    vstore_half_rte(value, index, (global half *)tile);
  } else {
    const uint block = e / 32;
    ((global char *)tile)[index] = (char)as_int(fma(value, scales[block], ROUNDING));
    if (e % 32 == 0) vstore_half_rte(scales[HEAD_BLOCKS + block], block * 16 + slot, (global half *)(tile + scales_at));
  }
}

kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void store_kv(STORE_ARGUMENTS) {
  local float h[HEAD_CHUNKS * 16], partial[GROUP], scales[2 * HEAD_BLOCKS];
  const uint lane = get_local_id(0), head = get_group_id(0), token = get_group_id(1), position = step_info[0] + token;
  global const float *row = qkv + ((ulong)token * (heads + 2 * kv_heads) + head) * HEAD_SIZE;
  const bool is_v = head >= heads + kv_heads;
  float squares = 0.0f;
  for (uint e = HEAD_SIZE + lane; e < HEAD_CHUNKS * 16; e += GROUP) h[e] = 0.0f;
  for (uint e = lane; e < HEAD_SIZE; e += GROUP) {
    h[e] = row[e];
    squares += row[e] * row[e];
  }
  partial[lane] = squares;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint half_size = GROUP / 2; half_size > 0; half_size /= 2) {
    if (lane < half_size) partial[lane] += partial[lane + half_size];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  if (is_v ? value_norm : head_norm) {
    global const float *weight = head < heads ? q_norm : k_norm;
    const float factor = 1.0f / sqrt(partial[0] / HEAD_SIZE + epsilon);
    for (uint e = lane; e < HEAD_SIZE; e += GROUP) h[e] = h[e] * factor * (is_v ? 1.0f : weight[e]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const uint pairs = rope == ROPE_NONE || is_v ? 0 : rotated / 2;
  for (uint i = lane; i < pairs; i += GROUP) {
    float s, c;
    sine_cosine((float)position * frequencies[i], &s, &c);
    const uint first = rope == ROPE_NEOX ? i : 2 * i, second = rope == ROPE_NEOX ? i + pairs : 2 * i + 1;
    const float a = h[first], b = h[second];
    h[first] = (a * c - b * s) * magnitude;
    h[second] = (a * s + b * c) * magnitude;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  // Of each block of 32 elements the inverse scale, and behind all of those the scale.
  for (uint block = lane; block < HEAD_BLOCKS; block += GROUP) {
    float most = 0.0f;
    for (uint e = block * 32; e < min(block * 32 + 32, (uint)HEAD_SIZE); ++e) most = max(fabs(h[e]), most);
    const float inverse = most > 1e-36f ? 127.0f / most : 0.0f;
    scales[block] = inverse;
    scales[HEAD_BLOCKS + block] = inverse == 0.0f ? most * 0.0f : most / 127.0f;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  const uint slot = position % 16;
  if (head < heads) {
    global float *to = q + ((ulong)token * heads + head) * HEAD_SIZE;
    for (uint e = lane; e < HEAD_SIZE; e += GROUP) to[e] = h[e] * q_factor;
  } else if (!is_v) {
    global uchar *tile = k + ((ulong)(head - heads) * cache_tiles + position / 16) * K_TILE_BYTES;
    for (uint e = lane; e < HEAD_SIZE; e += GROUP) {
      store_element(h[e], scales, e, tile, e * 16 + slot, K_SCALES, slot, CACHE_K);
    }
  } else {
    global uchar *tile = v + ((ulong)(head - heads - kv_heads) * cache_tiles + position / 16) * V_TILE_BYTES;
    for (uint e = lane; e < HEAD_CHUNKS * 16; e += GROUP) {
      store_element(h[e], scales, e, tile, e / 16 * 256 + slot * 16 + e % 16, V_SCALES, slot, CACHE_V);
    }
  }
}
