// SPDX-License-Identifier: MIT
// One work-item takes several rows of queries: 16 tokens of one head in a batch, the Q heads of one kv head when tokens
// come one by one. So each vector of K or V that was loaded and converted serves all its rows.
#define BLOCK_TILES 4

// Element `element` of 16 positions. `scale` belongs to its block of 32 elements (Q8_0 only).
static inline float16 load_k_scale(const global uchar *tile, uint element) {
#if CACHE_K == CACHE_Q8_0
  return load_halves(tile + K_SCALES + element / 32 * 32);
#else
  return 1.0f;
#endif
}

static inline float16 load_k(const global uchar *tile, uint element, float16 scale) {
#if CACHE_K == CACHE_F32
  return load_floats((const global float *)tile + element * 16);
#elif CACHE_K == CACHE_F16
  return load_halves(tile + element * 32);
#else
  return convert_float16(vload16(element, (const global char *)tile)) * scale;
#endif
}

// The scales of 16 positions in the block that holds `chunk` (Q8_0 only).
static inline float16 load_v_scales(const global uchar *tile, uint chunk) {
#if CACHE_V == CACHE_Q8_0
  return load_halves(tile + V_SCALES + chunk / 2 * 32);
#else
  return 1.0f;
#endif
}

// 16 elements of the position in slot `slot`.
static inline float16 load_v(const global uchar *tile, uint chunk, uint slot, float scale) {
#if CACHE_V == CACHE_F32
  return load_floats((const global float *)tile + (chunk * 16 + slot) * 16);
#elif CACHE_V == CACHE_F16
  return load_halves(tile + (chunk * 16 + slot) * 32);
#else
  return convert_float16(vload16(chunk * 16 + slot, (const global char *)tile)) * scale;
#endif
}

#define ROWS BATCH_ROWS
#define ROW_STEP 1  // each row is the token after the one before
#define NAME(name) name##_batch
#include "attention_rows.cl"
#undef ROWS
#undef ROW_STEP
#undef NAME

#define ROWS GROUP_ROWS
#define ROW_STEP 0  // all rows are heads of one token
#define NAME(name) name##_single
#include "attention_rows.cl"

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_batch(ATTENTION_ARGUMENTS) {
  const uint head = get_global_id(0), token = get_global_id(1) * BATCH_ROWS, past = step_info[0], tokens = step_info[1];
  const uint kv_head = head / (heads / kv_heads), rows = min(tokens - token, (uint)BATCH_ROWS);
  float16 o[HEAD_CHUNKS * BATCH_ROWS], total[BATCH_ROWS];
  float queries[HEAD_SIZE * BATCH_ROWS], row_sinks[BATCH_ROWS], most[BATCH_ROWS];
  for (uint r = 0; r < BATCH_ROWS; ++r) {
    global const float *from = q + ((ulong)(token + r) * heads + head) * HEAD_SIZE;
    for (uint e = 0; e < HEAD_SIZE; ++e) queries[e * BATCH_ROWS + r] = r < rows ? from[e] : 0.0f;
    row_sinks[r] = sink_of(sinks, has_sinks, head);
  }
  const uint end = past + token + rows;
  const tile_range range = part_of(window_start(past + token, window), end, 0, 1);
  attend_batch(queries, row_sinks, k + (ulong)kv_head * cache_tiles * K_TILE_BYTES,
               v + (ulong)kv_head * cache_tiles * V_TILE_BYTES, range, past + token, end, softcap, window, o, most,
               total);
  for (uint r = 0; r < rows; ++r) {
    store_row_batch(o, r, 1.0f / sum16(total[r]), out + ((ulong)(token + r) * heads + head) * HEAD_SIZE);
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_single(ATTENTION_ARGUMENTS,
                                                                            global float *partial) {
  const uint group = heads / kv_heads, blocks = (group + GROUP_ROWS - 1) / GROUP_ROWS, position = step_info[0];
  const uint kv_head = get_global_id(0) / blocks, first = get_global_id(0) % blocks * GROUP_ROWS;
  const uint head = kv_head * group + first, rows = min(group - first, (uint)GROUP_ROWS);
  const uint part = get_global_id(1), parts = get_global_size(1);
  float16 o[HEAD_CHUNKS * GROUP_ROWS], total[GROUP_ROWS];
  float queries[HEAD_SIZE * GROUP_ROWS], row_sinks[GROUP_ROWS], most[GROUP_ROWS];
  for (uint r = 0; r < GROUP_ROWS; ++r) {
    global const float *from = q + (head + min(r, rows - 1)) * HEAD_SIZE;
    for (uint e = 0; e < HEAD_SIZE; ++e) queries[e * GROUP_ROWS + r] = from[e];
    row_sinks[r] = sink_of(sinks, has_sinks && part == 0, head + min(r, rows - 1));
  }
  const tile_range range = part_of(window_start(position, window), position + 1, part, parts);
  attend_single(queries, row_sinks, k + (ulong)kv_head * cache_tiles * K_TILE_BYTES,
                v + (ulong)kv_head * cache_tiles * V_TILE_BYTES, range, position, position + 1, softcap, window, o,
                most, total);
  for (uint r = 0; r < rows; ++r) {
    const float sum = sum16(total[r]);
    if (parts == 1) {
      store_row_single(o, r, 1.0f / sum, out + (head + r) * HEAD_SIZE);
    } else {
      global float *to = partial + PARTIAL_HEADER + (part * heads + head + r) * PARTIAL_SIZE;
      store_row_single(o, r, 1.0f, to);
      to[HEAD_SIZE] = most[r];
      to[HEAD_SIZE + 1] = sum;
    }
  }
  if (part == 0 && head == 0) *(global uint *)partial = parts;
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_combine(global const float *partial,
                                                                             global float *out, uint heads) {
  const uint head = get_global_id(0), parts = *(global const uint *)partial;
  global const float *first = partial + PARTIAL_HEADER + head * PARTIAL_SIZE;
  float most = UNSEEN, total = 0.0f, o[HEAD_SIZE];
  for (uint part = 0; part < parts; ++part) most = max(first[part * heads * PARTIAL_SIZE + HEAD_SIZE], most);
  for (uint e = 0; e < HEAD_SIZE; ++e) o[e] = 0.0f;
  for (uint part = 0; part < parts; ++part) {
    global const float *from = first + part * heads * PARTIAL_SIZE;
    const float weight = exp(from[HEAD_SIZE] - most);
    total += weight * from[HEAD_SIZE + 1];
    for (uint e = 0; e < HEAD_SIZE; ++e) o[e] = fma(weight, from[e], o[e]);
  }
  for (uint e = 0; e < HEAD_SIZE; ++e) out[head * HEAD_SIZE + e] = o[e] / total;
}
