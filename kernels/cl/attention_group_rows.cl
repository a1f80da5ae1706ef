// SPDX-License-Identifier: MIT
// The kernels of one number of rows; included twice by attention_group.cl.

// Row r is at `position + r * ROW_STEP`; o[element / LANES][row] of this lane's elements is left undivided by
// total[row].
static inline void NAME(attend)(local const float *queries, local float *probabilities, local float *most,
                                local float *factors, const float *sinks, const global uchar *k, const global uchar *v,
                                const global uint *pages, uint kv_heads, uint from, uint end, uint position,
                                float softcap, uint window, uint chunked, float *o, float *total) {
  const uint lane = get_local_id(0);
  for (uint i = 0; i < LANE_ELEMENTS * ROWS; ++i) o[i] = 0.0f;
  for (uint r = 0; r < ROWS; ++r) {
    total[r] = lane == 0 ? first_total(sinks[r]) : 0.0f;
    if (lane == r) most[r] = first_most(sinks[r]);
  }
  for (uint block = from / LANES * LANES; block < end; block += LANES) {
    float score[ROWS];
    const uint at = block + lane;
    const ulong place = tile_place(pages, block / CACHE_TILE, kv_heads);
    const global uchar *keys = k + place * K_TILE_BYTES, *values = v + place * V_TILE_BYTES;
    for (uint r = 0; r < ROWS; ++r) score[r] = 0.0f;
    if (at >= from && at < end) {
      for (uint e = 0; e < HEAD_SIZE; ++e) {
        const float key = load_k(keys, lane, e);
        for (uint r = 0; r < ROWS; ++r) score[r] = fma(queries[e * ROWS + r], key, score[r]);
      }
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint r = 0; r < ROWS; ++r) {
      const uint row_position = position + r * ROW_STEP;
      if (softcap > 0.0f) score[r] = soft_cap(score[r], softcap);
      if (at < from || at >= end || at > row_position || at < window_start(row_position, window, chunked)) {
        score[r] = MASKED;
      }
      probabilities[r * LANES + lane] = score[r];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lane < ROWS) {
      float largest = most[lane];
      for (uint i = 0; i < LANES; ++i) largest = max(probabilities[lane * LANES + i], largest);
      factors[lane] = exp(most[lane] - largest);
      most[lane] = largest;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint r = 0; r < ROWS; ++r) {
      const float probability = exp(score[r] - most[r]);
      probabilities[r * LANES + lane] = probability;
      total[r] = fma(total[r], factors[r], probability);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    const uint first = max(block, from) - block, positions = min(end - block, (uint)LANES);
    for (uint i = 0; i < LANE_ELEMENTS; ++i) {
      const uint e = i * LANES + lane;
      if (e >= HEAD_SIZE) continue;
      for (uint r = 0; r < ROWS; ++r) o[i * ROWS + r] *= factors[r];
      for (uint p = first; p < positions; ++p) {
        const float value = load_v(values, p, e);
        for (uint r = 0; r < ROWS; ++r) o[i * ROWS + r] = fma(probabilities[r * LANES + p], value, o[i * ROWS + r]);
      }
    }
  }
  // The lanes' totals become those of the rows, in every lane.
  for (uint r = 0; r < ROWS; ++r) {
    barrier(CLK_LOCAL_MEM_FENCE);
    probabilities[lane] = total[r];
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0.0f;
    for (uint i = 0; i < LANES; ++i) sum += probabilities[i];
    total[r] = sum;
  }
}

#if ROW_STEP
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void attention_batch(ATTENTION_ARGUMENTS) {
  local float queries[HEAD_SIZE * ROWS], probabilities[LANES * ROWS], most[ROWS], factors[ROWS];
  const uint lane = get_local_id(0), head = get_group_id(0), kv_head = head / (heads / kv_heads);
  const uint tasks = (BATCH_TILE + ROWS - 1) / ROWS, skipped = get_group_id(1) % tasks * ROWS;
  global const uint *piece = step_tile(step_info, get_group_id(1) / tasks);
  const uint tokens = piece[RUN_TOKENS], rows = skipped < tokens ? min(tokens - skipped, (uint)ROWS) : 0;
  const uint token = piece[RUN_FIRST] + skipped, position = piece[RUN_POSITION] + skipped;
  for (uint i = lane; i < HEAD_SIZE * ROWS; i += LANES) {
    const uint r = i / HEAD_SIZE, e = i % HEAD_SIZE;
    queries[e * ROWS + r] = r < rows ? q[((ulong)(token + r) * heads + head) * HEAD_SIZE + e] : 0.0f;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  float o[LANE_ELEMENTS * ROWS], total[ROWS], row_sinks[ROWS];
  for (uint r = 0; r < ROWS; ++r) row_sinks[r] = sink_of(sinks, has_sinks, head);
  const uint end = rows > 0 ? position + rows : 0;
  NAME(attend)(queries, probabilities, most, factors, row_sinks, k + (ulong)kv_head * PAGE_TILES * K_TILE_BYTES,
               v + (ulong)kv_head * PAGE_TILES * V_TILE_BYTES, pages + (ulong)piece[RUN_SEQUENCE] * pages_row, kv_heads,
               window_start(position, window, chunked), end, position, softcap, window, chunked, o, total);
  for (uint e = lane; e < HEAD_SIZE; e += LANES) {
    for (uint r = 0; r < rows; ++r) {
      out[((ulong)(token + r) * heads + head) * HEAD_SIZE + e] = o[e / LANES * ROWS + r] / total[r];
    }
  }
}
#else
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void attention_single(ATTENTION_ARGUMENTS,
                                                                                global float *partial) {
  local float queries[HEAD_SIZE * ROWS], probabilities[LANES * ROWS], most[ROWS], factors[ROWS];
  const uint lane = get_local_id(0), group = heads / kv_heads, blocks = (group + ROWS - 1) / ROWS;
  const uint kv_head = get_group_id(0) / blocks, first = get_group_id(0) % blocks * ROWS;
  const uint head = kv_head * group + first, rows = min(group - first, (uint)ROWS);
  const uint part = get_group_id(1), parts = get_num_groups(1), run = get_group_id(2);
  global const uint *token = short_run(step_info, run);
  const uint position = token[RUN_POSITION];
  const ulong row = (ulong)token[RUN_FIRST] * heads + head;
  for (uint i = lane; i < HEAD_SIZE * ROWS; i += LANES) {
    const uint r = i / HEAD_SIZE, e = i % HEAD_SIZE;
    queries[e * ROWS + r] = q[(row + min(r, rows - 1)) * HEAD_SIZE + e];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  float o[LANE_ELEMENTS * ROWS], total[ROWS], row_sinks[ROWS];
  for (uint r = 0; r < ROWS; ++r) row_sinks[r] = sink_of(sinks, has_sinks && part == 0, head + min(r, rows - 1));
  const tile_range range = part_of(window_start(position, window, chunked), position + 1, part, parts);
  NAME(attend)(queries, probabilities, most, factors, row_sinks, k + (ulong)kv_head * PAGE_TILES * K_TILE_BYTES,
               v + (ulong)kv_head * PAGE_TILES * V_TILE_BYTES, pages + (ulong)token[RUN_SEQUENCE] * pages_row, kv_heads,
               range.first * CACHE_TILE, min(range.last * CACHE_TILE, position + 1), position, softcap, window, chunked,
               o, total);
  for (uint r = 0; r < rows; ++r) {
    global float *to = parts == 1 ? out + (row + r) * HEAD_SIZE
                                  : partial + partial_at(run, part, parts, head + r, heads);
    const float factor = parts == 1 ? 1.0f / total[r] : 1.0f;
    for (uint e = lane; e < HEAD_SIZE; e += LANES) to[e] = o[e / LANES * ROWS + r] * factor;
    if (parts > 1 && lane == 0) {
      to[HEAD_SIZE] = most[r];
      to[HEAD_SIZE + 1] = total[r];
    }
  }
  if (part == 0 && head == 0 && run == 0 && lane == 0) *(global uint *)partial = parts;
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void attention_combine(global const float *partial,
                                                                                 global float *out, uint heads,
                                                                                 global const uint *step_info) {
  const uint lane = get_local_id(0), head = get_group_id(0), run = get_group_id(1);
  const uint parts = *(global const uint *)partial, stride = heads * PARTIAL_SIZE;
  global const float *first = partial + partial_at(run, 0, parts, head, heads);
  global float *to = out + ((ulong)short_run(step_info, run)[RUN_FIRST] * heads + head) * HEAD_SIZE;
  float most = UNSEEN;
  for (uint part = 0; part < parts; ++part) most = max(first[part * stride + HEAD_SIZE], most);
  for (uint e = lane; e < HEAD_SIZE; e += LANES) {
    float total = 0.0f, sum = 0.0f;
    for (uint part = 0; part < parts; ++part) {
      const float weight = exp(first[part * stride + HEAD_SIZE] - most);
      total += weight * first[part * stride + HEAD_SIZE + 1];
      sum = fma(weight, first[part * stride + e], sum);
    }
    to[e] = sum / total;
  }
}
#endif
