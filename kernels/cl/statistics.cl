// SPDX-License-Identifier: MIT
// Argmax, maximum, log of the sum of exponentials and the count of what is not finite: of chunks of a row, then of
// rows.
typedef struct {
  int argmax;
  float maximum;
  float sum;  // of exp(x - maximum) in a chunk; its logarithm plus the maximum in a row
  uint not_finite;
} statistics;

// Merges chunks in ascending order, so that the first of equal maxima stays.
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void statistics_rows(global const statistics *chunks,
                                                                           global statistics *out, uint count) {
  global const statistics *from = chunks + (ulong)get_global_id(0) * count;
  statistics row = from[0];
  for (uint i = 1; i < count; ++i) {
    row.not_finite += from[i].not_finite;
    if (from[i].maximum > row.maximum) {
      row.maximum = from[i].maximum;
      row.argmax = from[i].argmax;
    }
  }
  float sum = 0.0f;
  for (uint i = 0; i < count; ++i) sum += from[i].sum * exp(from[i].maximum - row.maximum);
  row.sum = row.maximum + log(sum);
  out[get_global_id(0)] = row;
}

#define STATISTICS_ARGUMENTS global const float *logits, global statistics *chunks, uint vocabulary, uint chunk

#ifdef STYLE_VECTOR
// 16 logits; those beyond the end are -FLT_MAX, which neither a maximum nor a sum of exponentials notices.
static inline float16 load_logits(global const float *row, uint i, uint end) {
  if (i + 16 <= end) return load_floats(row + i);
  float16 values = -FLT_MAX;
  for (uint j = i; j < end; ++j) ((float *)&values)[j - i] = row[j];
  return values;
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void statistics_chunks(STATISTICS_ARGUMENTS) {
  global const float *row = logits + (ulong)get_global_id(1) * vocabulary;
  const uint first = get_global_id(0) * chunk, end = min(first + chunk, vocabulary);
  const int16 slots = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  float16 largest = load_logits(row, first, end), sums = 0.0f;
  int16 at = slots + (int)first;
  uint16 count = 0;
  for (uint i = first; i < end; i += 16) {
    const float16 x = load_logits(row, i, end);
    const int16 larger = x > largest;
    largest = select(largest, x, larger);
    at = select(at, slots + (int)i, larger);
    count += ((as_uint16(x) & 0x7f800000u) + 0x00800000u) >> 31;  // an exponent of ones carries into the top bit
  }
  statistics result;
  result.maximum = largest16(largest);
  result.argmax = INT_MAX;
  result.not_finite = 0;
  for (uint i = 0; i < 16; ++i) {
    if (((const float *)&largest)[i] == result.maximum) result.argmax = min(result.argmax, ((const int *)&at)[i]);
    result.not_finite += ((const uint *)&count)[i];
  }
  for (uint i = first; i < end; i += 16) sums += exp(load_logits(row, i, end) - result.maximum);
  result.sum = sum16(sums);
  chunks[get_global_id(1) * get_global_size(0) + get_global_id(0)] = result;
}
#else
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void statistics_chunks(STATISTICS_ARGUMENTS) {
  local float maxima[LANES];
  local int places[LANES];
  global const float *row = logits + (ulong)get_global_id(1) * vocabulary;
  const uint lane = get_local_id(0), first = get_group_id(0) * chunk, end = min(first + chunk, vocabulary);
  float largest = -INFINITY, count = 0.0f, sum = 0.0f;
  int at = INT_MAX;
  for (uint i = first + lane; i < end; i += LANES) {
    if (row[i] > largest) {
      largest = row[i];
      at = (int)i;
    }
    count += isfinite(row[i]) ? 0.0f : 1.0f;
  }
  maxima[lane] = largest;
  places[lane] = at;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint i = 0; i < LANES; ++i) {
    if (maxima[i] > largest || (maxima[i] == largest && places[i] < at)) {
      largest = maxima[i];
      at = places[i];
    }
  }
  for (uint i = first + lane; i < end; i += LANES) sum += exp(row[i] - largest);
  local float2 scratch[LANES];
  const float2 sums = sum_lanes(scratch, (float2)(sum, count));
  statistics result;
  result.argmax = at;
  result.maximum = largest;
  result.sum = sums.x;
  result.not_finite = (uint)sums.y;
  if (lane == 0) chunks[get_group_id(1) * get_num_groups(0) + get_group_id(0)] = result;
}
#endif
