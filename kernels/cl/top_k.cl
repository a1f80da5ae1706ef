// SPDX-License-Identifier: MIT
// The k largest of each row: of each chunk, then of all chunks. Entries are 64-bit keys that order as wanted, larger
// first: the value in the upper half, made comparable as an integer, the token's complement in the lower, so that of
// equal values the lower token comes first. No two keys are equal. Missing entries are 0.
static inline ulong key_of(float value, uint token) {
  // -0 becomes 0 (compilers may drop an addition of 0); NaN comes after everything.
  const uint bits = value == 0.0f ? 0u : as_uint(value);
  const uint ordered = isnan(value) ? 1u : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return (ulong)ordered << 32 | ~token;
}

static inline float value_of(ulong key) {
  const uint ordered = (uint)(key >> 32);
  return ordered == 1u ? NAN : as_float(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

static inline void store_candidate(ulong key, global uint *out, uint rank) {
  out[rank * 2] = ~(uint)key;
  out[rank * 2 + 1] = as_uint(value_of(key));
}

#define TOP_K_ARGUMENTS global const float *logits, global ulong *chunks, uint vocabulary, uint chunk, uint k

#ifdef STYLE_VECTOR
// Whether one of 64 values is above the threshold.
static inline bool any_above(global const float *values, float threshold) {
  const int16 above = (load_floats(values) > threshold) | (load_floats(values + 16) > threshold) |
                      (load_floats(values + 32) > threshold) | (load_floats(values + 48) > threshold);
  const ulong2 bits = as_ulong2(convert_char16(above));
  return (bits.x | bits.y) != 0;
}

// Puts the key into its place of a descending list of `count`; the last one of a full list falls out.
static inline uint insert_key(ulong *keys, uint count, uint k, ulong key) {
  uint low = 0, high = count;
  while (low < high) {
    const uint middle = (low + high) / 2;
    if (keys[middle] > key) low = middle + 1;
    else high = middle;
  }
  if (low == k) return count;
  const uint kept = min(count, k - 1);
  uint i = kept;
  for (; i >= low + 8; i -= 8) vstore8(vload8(0, keys + i - 8), 0, keys + i - 7);
  for (; i > low; --i) keys[i] = keys[i - 1];
  keys[low] = key;
  return kept + 1;
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void top_k_chunks(TOP_K_ARGUMENTS) {
  const uint first = get_global_id(0) * chunk, end = min(first + chunk, vocabulary);
  logits += (ulong)get_global_id(1) * vocabulary;
  ulong keys[TOP_K_MOST + 8];
  uint count = 0, i = first;
  for (; i < min(first + k, end); ++i) count = insert_key(keys, count, k, key_of(logits[i], i));
  float threshold = count == k ? value_of(keys[k - 1]) : -INFINITY;
  if (isnan(threshold)) threshold = -INFINITY;
  while (i < end) {
    if (i + 64 <= end && !any_above(logits + i, threshold)) {
      i += 64;
      continue;
    }
    for (const uint stop = min(i + 64, end); i < stop; ++i) {
      if (!(logits[i] > threshold)) continue;
      count = insert_key(keys, count, k, key_of(logits[i], i));
      threshold = value_of(keys[k - 1]);
      if (isnan(threshold)) threshold = -INFINITY;
    }
  }
  chunks += (get_global_id(1) * get_global_size(0) + get_global_id(0)) * k;
  for (uint rank = 0; rank < k; ++rank) chunks[rank] = rank < count ? keys[rank] : 0;
}
#else
// A bitonic sort of a chunk of up to TOP_K_SORTED in local memory.
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void top_k_chunks(TOP_K_ARGUMENTS) {
  local ulong keys[TOP_K_SORTED];
  const uint lane = get_local_id(0), first = get_group_id(0) * chunk, end = min(first + chunk, vocabulary);
  logits += (ulong)get_group_id(1) * vocabulary;
  for (uint i = lane; i < TOP_K_SORTED; i += LANES) {
    keys[i] = first + i < end ? key_of(logits[first + i], first + i) : 0;
  }
  for (uint size = 2; size <= TOP_K_SORTED; size *= 2) {
    for (uint stride = size / 2; stride > 0; stride /= 2) {
      barrier(CLK_LOCAL_MEM_FENCE);
      for (uint pair = lane; pair < TOP_K_SORTED / 2; pair += LANES) {
        const uint i = pair / stride * stride * 2 + pair % stride;
        const ulong a = keys[i], b = keys[i + stride];
        if ((a < b) == ((i & size) == 0)) {
          keys[i] = b;
          keys[i + stride] = a;
        }
      }
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  chunks += (get_group_id(1) * get_num_groups(0) + get_group_id(0)) * k;
  for (uint rank = lane; rank < k; rank += LANES) chunks[rank] = keys[rank];
}
#endif

// How many of a descending list of k are above the key.
static inline uint count_above(global const ulong *list, uint k, ulong key) {
  uint low = 0, high = k;
  while (low < high) {
    const uint middle = (low + high) / 2;
    if (list[middle] > key) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The rank of a candidate among all is the sum of its ranks in each chunk's list. Vector style: a work-item a chunk;
// group style: a work-item a candidate.
kernel void top_k_merge(global const ulong *chunks, global uint *out, uint count, uint k) {
  chunks += (ulong)get_global_id(1) * count * k;
  out += get_global_id(1) * k * 2;
#ifdef STYLE_VECTOR
  const uint first = get_global_id(0) * k, last = first + k;
#else
  const uint first = get_global_id(0), last = min(first + 1, count * k);
#endif
  for (uint i = first; i < last; ++i) {
    uint rank = 0;
    for (uint chunk = 0; chunk < count; ++chunk) rank += count_above(chunks + chunk * k, k, chunks[i]);
    if (chunks[i] != 0 && rank < k) store_candidate(chunks[i], out, rank);
  }
}
