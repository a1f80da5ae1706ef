// SPDX-License-Identifier: MIT
// Small changes to rows of floats. One work-item a segment and token in the vector style, one work-group in the group
// style.

// A segment of the row of a token (Columns in row_ops.hpp).
static inline ulong segment_start(uint row, uint offset, uint stride) {
  return (ulong)get_group_id(1) * row + offset + (ulong)get_group_id(0) * stride;
}

#define COPY_ARGUMENTS                                                                                          \
  global const float *from, global float *to, uint columns, uint from_row, uint from_offset, uint from_stride, \
      uint to_row, uint to_offset, uint to_stride
#define NORM_ARGUMENTS                                                                                     \
  global float *x, global const float *weight, global const float *bias, uint columns, uint row, uint offset, \
      uint stride, uint weight_stride, float epsilon, uint norm, uint flags
#define SUM_ARGUMENTS                                                                                     \
  global const float *a, global const float *a_weight, global const float *b, global const float *b_weight, \
      global float *out, uint columns, float epsilon
#define GATE_ARGUMENTS global const float *gate, global float *x, uint columns

#ifdef STYLE_VECTOR
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void copy_columns(COPY_ARGUMENTS) {
  global const float *source = from + segment_start(from_row, from_offset, from_stride);
  global float *target = to + segment_start(to_row, to_offset, to_stride);
  for (uint i = 0; i < columns; i += 16) store16(load16(source, i, columns), target, i, columns);
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void norm_columns(NORM_ARGUMENTS) {
  global float *segment = x + segment_start(row, offset, stride);
  const float mean = norm == NORM_LAYER ? row_mean(segment, columns) : 0.0f;
  const float factor = row_factor(segment, columns, mean, epsilon);
  weight += (ulong)get_group_id(0) * weight_stride;
  bias += (ulong)get_group_id(0) * weight_stride;
  for (uint i = 0; i < columns; i += 16) {
    const float16 values = load16(segment, i, columns);
    store16(normed16(values, mean, factor, weight, bias, flags, i, columns), segment, i, columns);
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void sum_of_norms(SUM_ARGUMENTS) {
  const ulong first = (ulong)get_group_id(1) * columns;
  const float a_factor = row_factor(a + first, columns, 0.0f, epsilon);
  const float b_factor = row_factor(b + first, columns, 0.0f, epsilon);
  for (uint i = 0; i < columns; i += 16) {
    const float16 left = load16(a + first, i, columns) * a_factor * load16(a_weight, i, columns);
    const float16 right = load16(b + first, i, columns) * b_factor * load16(b_weight, i, columns);
    store16(left + right, out + first, i, columns);
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gate_rows(GATE_ARGUMENTS) {
  const uint token = get_group_id(1);
  global float *row = x + (ulong)token * columns;
  const float factor = 1.0f / (1.0f + exp(-gate[token]));
  for (uint i = 0; i < columns; i += 16) store16(load16(row, i, columns) * factor, row, i, columns);
}
#else
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void copy_columns(COPY_ARGUMENTS) {
  global const float *source = from + segment_start(from_row, from_offset, from_stride);
  global float *target = to + segment_start(to_row, to_offset, to_stride);
  for (uint i = get_local_id(0); i < columns; i += LANES) target[i] = source[i];
}

// Each lane writes the columns that it read itself, so rows may be changed in place.
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void norm_columns(NORM_ARGUMENTS) {
  local float2 scratch[LANES];
  global float *segment = x + segment_start(row, offset, stride);
  float sum = 0.0f;
  for (uint i = get_local_id(0); i < columns; i += LANES) sum += segment[i];
  const float2 sums = sum_lanes(scratch, (float2)(sum, 0.0f));
  const float mean = norm == NORM_LAYER ? sums.x / columns : 0.0f;
  const float factor = row_factor(scratch, segment, columns, mean, epsilon);
  weight += (ulong)get_group_id(0) * weight_stride;
  bias += (ulong)get_group_id(0) * weight_stride;
  for (uint i = get_local_id(0); i < columns; i += LANES) {
    segment[i] = normed(segment[i], mean, factor, weight, bias, flags, i);
  }
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void sum_of_norms(SUM_ARGUMENTS) {
  local float2 scratch[LANES];
  const ulong first = (ulong)get_group_id(1) * columns;
  const float a_factor = row_factor(scratch, a + first, columns, 0.0f, epsilon);
  const float b_factor = row_factor(scratch, b + first, columns, 0.0f, epsilon);
  for (uint i = get_local_id(0); i < columns; i += LANES) {
    out[first + i] = a[first + i] * a_factor * a_weight[i] + b[first + i] * b_factor * b_weight[i];
  }
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void gate_rows(GATE_ARGUMENTS) {
  const uint token = get_group_id(1);
  global float *row = x + (ulong)token * columns;
  const float factor = 1.0f / (1.0f + exp(-gate[token]));
  for (uint i = get_local_id(0); i < columns; i += LANES) row[i] *= factor;
}
#endif
