// SPDX-License-Identifier: MIT
// One work-item a token.

// 16 columns from `column` on; zeros beyond the last.
static inline float16 load16(global const float *row, uint column, uint columns) {
  if (column + 16 <= columns) return load_floats(row + column);
  float16 values = 0.0f;
  for (uint i = column; i < columns; ++i) ((float *)&values)[i - column] = row[i];
  return values;
}

static inline void store16(float16 values, global float *row, uint column, uint columns) {
  if (column + 16 <= columns) {
    store_floats(values, row + column);
    return;
  }
  for (uint i = column; i < columns; ++i) row[i] = ((const float *)&values)[i - column];
}

// Sum of ((x - mean) * factor)^2 over a row.
static inline float sum_squares(global const float *row, uint columns, float mean, float factor) {
  float16 a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
  uint i = 0;
  for (; i + 64 <= columns; i += 64) {
    const float16 p = (load_floats(row + i) - mean) * factor, q = (load_floats(row + i + 16) - mean) * factor;
    const float16 r = (load_floats(row + i + 32) - mean) * factor, s = (load_floats(row + i + 48) - mean) * factor;
    a = fma(p, p, a);
    b = fma(q, q, b);
    c = fma(r, r, c);
    d = fma(s, s, d);
  }
  float sum = sum16((a + b) + (c + d));
  for (; i < columns; ++i) sum += (row[i] - mean) * factor * ((row[i] - mean) * factor);
  return sum;
}

static inline float row_mean(global const float *row, uint columns) {
  float16 sums = 0.0f;
  for (uint i = 0; i < columns; i += 16) sums += load16(row, i, columns);
  return sum16(sums) / columns;
}

static inline float row_factor(global const float *row, uint columns, float mean, float epsilon) {
  const float squares = sum_squares(row, columns, mean, 1.0f);
  if (squares <= FLT_MAX) return norm_factor(squares, columns, epsilon);
  return scaled_norm_factor(sum_squares(row, columns, mean, SCALED_DOWN), columns);
}

// 16 columns behind the norm of their row; zeros beyond the last.
static inline float16 normed16(float16 values, float mean, float factor, global const float *weight,
                               global const float *bias, uint flags, uint column, uint columns) {
  values = (values - mean) * factor;
  if (flags & NORM_WEIGHT) {
    values *= load16(weight, column, columns);
  } else {
    for (uint i = columns - column; i < 16; ++i) ((float *)&values)[i] = 0.0f;
  }
  if (flags & NORM_BIAS) values += load16(bias, column, columns);
  return values;
}

static inline void quantise(float16 first, float16 second, global uchar *values, global float *sums, uint tile) {
  const float most = largest16(max(fabs(first), fabs(second)));
  const float inverse = q8_inverse(most);
  const float16 a = fma(first, (float16)(inverse), (float16)(ROUNDING));
  const float16 b = fma(second, (float16)(inverse), (float16)(ROUNDING));
  ((global char16 *)values)[0] = convert_char16(as_int16(a));
  ((global char16 *)values)[1] = convert_char16(as_int16(b));
  const float low = sum16(a - ROUNDING), high = sum16(b - ROUNDING);
  store_sums(sums, tile, q8_scale(most, inverse, low + high), low, high);
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void prepare(PREPARE_ARGUMENTS) {
  const uint token = get_global_id(0), groups = (columns + GROUP_COLUMNS - 1) / GROUP_COLUMNS, slot = token % tile;
  const bool exists = token < step_info[STEP_TOKENS];
  global float *row = x + (ulong)token * columns;
  float mean = 0.0f, factor = 1.0f;
  if (exists && flags & (PREPARE_BRANCH | PREPARE_SCALED)) {
    global const float *from = branch + (ulong)token * columns;
    if (flags & PREPARE_BRANCH_NORM) branch_factor *= row_factor(from, columns, 0.0f, epsilon);
    const float row_scale = flags & PREPARE_SCALED ? scale[0] : 1.0f;
    for (uint i = 0; i < columns; i += 16) {
      float16 values = load16(row, i, columns);
      if (flags & PREPARE_BRANCH) {
        float16 more = load16(from, i, columns) * branch_factor;
        if (flags & PREPARE_BRANCH_NORM) more *= load16(post_weight, i, columns);
        values += more;
      }
      store16(values * row_scale, row, i, columns);
    }
  }
  if (exists && norm == NORM_LAYER) mean = row_mean(row, columns);
  if (exists && norm != NORM_NONE) factor = row_factor(row, columns, mean, epsilon);
  global uchar *to = out + (ulong)(token / tile) * tile_bytes(kind, tile, groups);
  for (uint group = 0; group < groups; ++group) {
    float16 values[2];
    #pragma unroll
    for (uint i = 0; i < 2; ++i) {
      const uint column = group * GROUP_COLUMNS + i * 16;
      values[i] = 0.0f;
      if (exists && column < columns) {
        values[i] = load16(row, column, columns);
        if (norm != NORM_NONE) values[i] = normed16(values[i], mean, factor, weight, bias, flags, column, columns);
      }
    }
    if (kind == ACTIVATIONS_Q8) {
      global uchar *record = to + group * tile * Q8_GROUP_BYTES;
      quantise(values[0], values[1], record + slot * GROUP_COLUMNS,
               (global float *)(record + tile * GROUP_COLUMNS) + slot, tile);
    } else if (tile == 1) {
      store_floats(values[0], (global float *)to + group * GROUP_COLUMNS);
      store_floats(values[1], (global float *)to + group * GROUP_COLUMNS + 16);
    } else {
      global float *first = (global float *)to + group * GROUP_COLUMNS * tile + slot;
      #pragma unroll
      for (uint i = 0; i < GROUP_COLUMNS; ++i) first[i * tile] = ((const float *)values)[i];
    }
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void take_rows(TAKE_ROWS_ARGUMENTS) {
  global const float *row = x + (ulong)step_output(step_info, get_group_id(0)) * columns;
  global float *to = out + (ulong)get_group_id(0) * columns;
  for (uint i = 0; i < columns; i += 16) store16(load16(row, i, columns), to, i, columns);
}
