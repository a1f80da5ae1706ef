// SPDX-License-Identifier: MIT
// One work-group a token; lanes share columns, and reduce through local memory.
#define LANES GROUP_LANES

// Sums of two values over all lanes.
static inline float2 sum_lanes(local float2 *scratch, float2 value) {
  const uint lane = get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  scratch[lane] = value;
  barrier(CLK_LOCAL_MEM_FENCE);
  for (uint half_size = LANES / 2; half_size > 0; half_size /= 2) {
    if (lane < half_size) scratch[lane] += scratch[lane + half_size];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
  return scratch[0];
}

static inline float row_factor(local float2 *scratch, global const float *row, uint columns, float mean,
                               float epsilon) {
  float2 squares = 0.0f;
  for (uint i = get_local_id(0); i < columns; i += LANES) {
    const float2 value = (row[i] - mean) * (float2)(1.0f, SCALED_DOWN);
    squares += value * value;
  }
  const float2 sums = sum_lanes(scratch, squares);
  return sums.x <= FLT_MAX ? norm_factor(sums.x, columns, epsilon) : scaled_norm_factor(sums.y, columns);
}

// A column behind the norm of its row.
static inline float normed(float value, float mean, float factor, global const float *weight, global const float *bias,
                           uint flags, uint column) {
  value = (value - mean) * factor;
  if (flags & NORM_WEIGHT) value *= weight[column];
  if (flags & NORM_BIAS) value += bias[column];
  return value;
}

// One group of 32 values in local memory, by one lane for its scale and sums.
static inline void quantise(local const float *values, uint lane, global uchar *to, global float *sums, uint tile) {
  float most = 0.0f;
  for (uint i = 0; i < GROUP_COLUMNS; ++i) most = max(fabs(values[i]), most);
  const float inverse = q8_inverse(most);
  ((global char *)to)[lane] = (char)as_int(fma(values[lane], inverse, ROUNDING));
  if (lane != 0) return;
  float halves[2] = {0.0f, 0.0f};
  for (uint i = 0; i < GROUP_COLUMNS; ++i) halves[i / 16] += fma(values[i], inverse, ROUNDING) - ROUNDING;
  store_sums(sums, tile, q8_scale(most, inverse, halves[0] + halves[1]), halves[0], halves[1]);
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void prepare(PREPARE_ARGUMENTS) {
  local float2 scratch[LANES];
  local float values[LANES];
  const uint lane = get_local_id(0), token = get_group_id(0), slot = token % tile;
  const uint groups = (columns + GROUP_COLUMNS - 1) / GROUP_COLUMNS;
  const bool exists = token < step_info[STEP_TOKENS];
  // All groups go through all reductions, needed or not: with one below a condition PoCL 3.1 gave wrong sums now and
  // then.
  // Tokens that do not exist have no columns, and what they find is not used.
  const uint count = exists ? columns : 0;
  const ulong first_column = (ulong)token * columns;
  global float *row = x + first_column;
  global const float *added = flags & PREPARE_BRANCH ? branch + first_column : row;
  const float added_norm = row_factor(scratch, added, count, 0.0f, epsilon);
  const float added_factor = flags & PREPARE_BRANCH_NORM ? branch_factor * added_norm : branch_factor;
  const float row_scale = flags & PREPARE_SCALED ? scale[0] : 1.0f;
  float sum = 0.0f;
  for (uint i = lane; i < count; i += LANES) {
    float value = row[i];
    if (flags & PREPARE_BRANCH) {
      float more = added[i] * added_factor;
      if (flags & PREPARE_BRANCH_NORM) more *= post_weight[i];
      value += more;
    }
    value *= row_scale;
    if (flags & (PREPARE_BRANCH | PREPARE_SCALED)) row[i] = value;
    sum += value;
  }
  const float2 sums = sum_lanes(scratch, (float2)(sum, 0.0f));
  const float mean = norm == NORM_LAYER ? sums.x / columns : 0.0f;
  // Each lane reads the columns that it wrote itself.
  const float factor = row_factor(scratch, row, count, mean, epsilon);
  global uchar *to = out + (ulong)(token / tile) * tile_bytes(kind, tile, groups);
  for (uint first = 0; first < groups * GROUP_COLUMNS; first += LANES) {
    const uint column = first + lane;
    float value = 0.0f;
    if (exists && column < columns) {
      value = row[column];
      if (norm != NORM_NONE) value = normed(value, mean, factor, weight, bias, flags, column);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    values[lane] = value;
    barrier(CLK_LOCAL_MEM_FENCE);
    if (column < groups * GROUP_COLUMNS && kind == ACTIVATIONS_Q8) {
      global uchar *record = to + column / GROUP_COLUMNS * tile * Q8_GROUP_BYTES;
      quantise(values + lane / GROUP_COLUMNS * GROUP_COLUMNS, lane % GROUP_COLUMNS, record + slot * GROUP_COLUMNS,
               (global float *)(record + tile * GROUP_COLUMNS) + slot, tile);
    } else if (column < groups * GROUP_COLUMNS) {
      ((global float *)to)[column * tile + slot] = value;
    }
  }
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void take_rows(TAKE_ROWS_ARGUMENTS) {
  global const float *row = x + (ulong)step_output(step_info, get_group_id(0)) * columns;
  global float *to = out + (ulong)get_group_id(0) * columns;
  for (uint i = get_local_id(0); i < columns; i += LANES) to[i] = row[i];
}
