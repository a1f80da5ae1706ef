// SPDX-License-Identifier: MIT
// One work-item takes several rows of queries: 16 tokens of one head in a batch, the Q heads of one kv head when tokens
// come one by one. So each vector of K or V that was loaded and converted serves all its rows.

// 16 numbers of 16 bits, from number `at` on.
static inline float16 load_bf16(const global uchar *numbers, uint at) {
  return as_float16(convert_uint16(vload16(at, (const global ushort *)numbers)) << 16);
}

// What levels of four bits, and their fifth, stand for before they are scaled.
static inline float16 level_values(uchar16 nibbles, uint16 high, uint type) {
  if (type == CACHE_IQ4_NL) {
    return convert_float16(shuffle((char16)(NON_LINEAR_VALUES), nibbles));
  }
  const float zero = HAS_MINIMUM(type) ? 0.0f : block_steps(type);
  if (!HAS_HIGH_BIT(type)) return convert_float16(nibbles) + zero;
  return convert_float16(convert_uint16(nibbles) | (high & 1u) << 4) + zero;
}

// A half of a block of each of 16 positions, from the plane that starts at byte `plane`; `otherwise` where a type has
// none.
static inline float16 load_plane(const global uchar *tile, bool there, uint plane, uint block, float otherwise) {
  return there ? load_halves(tile + plane + block * 32) : (float16)(otherwise);
}

// Element `element` of 16 positions.
static inline float16 load_k(const global uchar *tile, uint element, float16 scale, float16 minimum) {
#if CACHE_K == CACHE_F32
  return load_floats((const global float *)tile + element * 16);
#elif CACHE_K == CACHE_F16
  return load_halves(tile + element * 32);
#elif CACHE_K == CACHE_BF16
  return load_bf16(tile, element);
#elif CACHE_K == CACHE_Q8_0
  return convert_float16(vload16(element, (const global char *)tile)) * scale;
#else
  const uint block = element / 32, in_block = element % 32;
  const uchar16 bytes = vload16(block * 16 + in_block % 16, tile);
  uint16 high = 0;
  if (HAS_HIGH_BIT(CACHE_K)) high = vload16(block, (const global uint *)(tile + K_HIGH)) >> in_block;
  const float16 value = level_values(in_block < 16 ? bytes & (uchar)15 : bytes >> (uchar)4, high, CACHE_K) * scale;
  return HAS_MINIMUM(CACHE_K) ? value + minimum : value;
#endif
}

// 16 elements of the position in slot `slot`.
static inline float16 load_v(const global uchar *tile, uint chunk, uint slot, float scale, float minimum) {
#if CACHE_V == CACHE_F32
  return load_floats((const global float *)tile + (chunk * 16 + slot) * 16);
#elif CACHE_V == CACHE_F16
  return load_halves(tile + (chunk * 16 + slot) * 32);
#elif CACHE_V == CACHE_BF16
  return load_bf16(tile, chunk * 16 + slot);
#elif CACHE_V == CACHE_Q8_0
  return convert_float16(vload16(chunk * 16 + slot, (const global char *)tile)) * scale;
#else
  const uint16 elements = (uint16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) + chunk % 2 * 16;
  const uint at = chunk / 2 * 16 + slot;
  const uchar16 bytes = vload16(at, tile);
  uint16 high = 0;
  if (HAS_HIGH_BIT(CACHE_V)) high = (uint16)(((const global uint *)(tile + V_HIGH))[at]) >> elements;
  const float16 value = level_values(chunk % 2 == 0 ? bytes & (uchar)15 : bytes >> (uchar)4, high, CACHE_V) * scale;
  return HAS_MINIMUM(CACHE_V) ? value + minimum : value;
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
  global const uint *piece = step_tile(step_info, get_global_id(1));
  const uint head = get_global_id(0), token = piece[RUN_FIRST], rows = piece[RUN_TOKENS];
  const uint kv_head = head / (heads / kv_heads), position = piece[RUN_POSITION], end = position + rows;
  float16 o[HEAD_CHUNKS * BATCH_ROWS], total[BATCH_ROWS];
  float queries[HEAD_SIZE * BATCH_ROWS], row_sinks[BATCH_ROWS], most[BATCH_ROWS];
  for (uint r = 0; r < BATCH_ROWS; ++r) {
    global const float *from = q + ((ulong)(token + r) * heads + head) * HEAD_SIZE;
    for (uint e = 0; e < HEAD_SIZE; ++e) queries[e * BATCH_ROWS + r] = r < rows ? from[e] : 0.0f;
    row_sinks[r] = sink_of(sinks, has_sinks, head);
  }
  const tile_range range = part_of(window_start(position, window, chunked), end, 0, 1);
  attend_batch(queries, row_sinks, k + (ulong)kv_head * PAGE_TILES * K_TILE_BYTES,
               v + (ulong)kv_head * PAGE_TILES * V_TILE_BYTES, pages + (ulong)piece[RUN_SEQUENCE] * pages_row, kv_heads,
               range, position, end, softcap, window, chunked, o, most, total);
  for (uint r = 0; r < rows; ++r) {
    store_row_batch(o, r, 1.0f / sum16(total[r]), out + ((ulong)(token + r) * heads + head) * HEAD_SIZE);
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_single(ATTENTION_ARGUMENTS,
                                                                            global float *partial) {
  const uint group = heads / kv_heads, blocks = (group + GROUP_ROWS - 1) / GROUP_ROWS;
  const uint kv_head = get_global_id(0) / blocks, first = get_global_id(0) % blocks * GROUP_ROWS;
  const uint head = kv_head * group + first, rows = min(group - first, (uint)GROUP_ROWS);
  const uint part = get_global_id(1), parts = get_global_size(1), run = get_global_id(2);
  global const uint *token = short_run(step_info, run);
  const uint position = token[RUN_POSITION];
  const ulong row = (ulong)token[RUN_FIRST] * heads + head;
  float16 o[HEAD_CHUNKS * GROUP_ROWS], total[GROUP_ROWS];
  float queries[HEAD_SIZE * GROUP_ROWS], row_sinks[GROUP_ROWS], most[GROUP_ROWS];
  for (uint r = 0; r < GROUP_ROWS; ++r) {
    global const float *from = q + (row + min(r, rows - 1)) * HEAD_SIZE;
    for (uint e = 0; e < HEAD_SIZE; ++e) queries[e * GROUP_ROWS + r] = from[e];
    row_sinks[r] = sink_of(sinks, has_sinks && part == 0, head + min(r, rows - 1));
  }
  const tile_range range = part_of(window_start(position, window, chunked), position + 1, part, parts);
  attend_single(queries, row_sinks, k + (ulong)kv_head * PAGE_TILES * K_TILE_BYTES,
                v + (ulong)kv_head * PAGE_TILES * V_TILE_BYTES, pages + (ulong)token[RUN_SEQUENCE] * pages_row,
                kv_heads, range, position, position + 1, softcap, window, chunked, o, most, total);
  for (uint r = 0; r < rows; ++r) {
    const float sum = sum16(total[r]);
    if (parts == 1) {
      store_row_single(o, r, 1.0f / sum, out + (row + r) * HEAD_SIZE);
    } else {
      global float *to = partial + partial_at(run, part, parts, head + r, heads);
      store_row_single(o, r, 1.0f, to);
      to[HEAD_SIZE] = most[r];
      to[HEAD_SIZE + 1] = sum;
    }
  }
  if (part == 0 && head == 0 && run == 0) *(global uint *)partial = parts;
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void attention_combine(global const float *partial,
                                                                             global float *out, uint heads,
                                                                             global const uint *step_info) {
  const uint head = get_global_id(0), run = get_global_id(1), parts = *(global const uint *)partial;
  global const float *first = partial + partial_at(run, 0, parts, head, heads);
  global float *to = out + ((ulong)short_run(step_info, run)[RUN_FIRST] * heads + head) * HEAD_SIZE;
  float most = UNSEEN, total = 0.0f, o[HEAD_SIZE];
  for (uint part = 0; part < parts; ++part) most = max(first[part * heads * PARTIAL_SIZE + HEAD_SIZE], most);
  for (uint e = 0; e < HEAD_SIZE; ++e) o[e] = 0.0f;
  for (uint part = 0; part < parts; ++part) {
    global const float *from = first + part * heads * PARTIAL_SIZE;
    const float weight = exp(from[HEAD_SIZE] - most);
    total += weight * from[HEAD_SIZE + 1];
    for (uint e = 0; e < HEAD_SIZE; ++e) o[e] = fma(weight, from[e], o[e]);
  }
  for (uint e = 0; e < HEAD_SIZE; ++e) to[e] = o[e] / total;
}
