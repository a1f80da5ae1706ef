// SPDX-License-Identifier: MIT
// Functions of single numbers of rows, in place. Vector style: a work-item takes POINTWISE_CHUNK of a row; group style:
// one.

// Between -most and most; NaN stays.
static inline real clamped(real x, float most) {
  x = REAL_SELECT(x, (real)(most), x > most);
  return REAL_SELECT(x, (real)(-most), x < -most);
}

// xIELU (row_ops.hpp).
static inline real xielu(real x, float alpha_n, float alpha_p, float beta, float epsilon) {
  const real low = REAL_SELECT(x, (real)(epsilon), x > epsilon);
  const real negative = alpha_n * (exp(low) - 1.0f - x);
  return REAL_SELECT(negative, alpha_p * x * x, x > 0.0f) + beta * x;
}

#define CLAMP_ARGUMENTS global float *x, uint columns, float most
#define XIELU_ARGUMENTS global float *x, uint columns, float alpha_n, float alpha_p, float beta, float epsilon

#ifdef STYLE_VECTOR
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void clamp_rows(CLAMP_ARGUMENTS) {
  global float *row = x + (ulong)get_global_id(1) * columns;
  const uint first = get_global_id(0) * POINTWISE_CHUNK, last = min(first + POINTWISE_CHUNK, columns);
  for (uint i = first; i < last; i += 16) store16(clamped(load16(row, i, last), most), row, i, last);
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void xielu_rows(XIELU_ARGUMENTS) {
  global float *row = x + (ulong)get_global_id(1) * columns;
  const uint first = get_global_id(0) * POINTWISE_CHUNK, last = min(first + POINTWISE_CHUNK, columns);
  for (uint i = first; i < last; i += 16) {
    store16(xielu(load16(row, i, last), alpha_n, alpha_p, beta, epsilon), row, i, last);
  }
}
#else
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void clamp_rows(CLAMP_ARGUMENTS) {
  const uint i = get_global_id(0);
  global float *row = x + (ulong)get_global_id(1) * columns;
  if (i < columns) row[i] = clamped(row[i], most);
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void xielu_rows(XIELU_ARGUMENTS) {
  const uint i = get_global_id(0);
  global float *row = x + (ulong)get_global_id(1) * columns;
  if (i < columns) row[i] = xielu(row[i], alpha_n, alpha_p, beta, epsilon);
}
#endif
