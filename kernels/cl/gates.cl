// SPDX-License-Identifier: MIT
// Segments of rows times a function of segments of other rows, in place. One work-item a segment and token in the
// vector style, one work-group in the group style.

#define GATED_NORM_ARGUMENTS                                                                                   \
  global float *x, global const float *weight, global const float *gate, uint columns, uint row, uint offset,  \
      uint stride, uint gate_row, uint gate_offset, uint gate_stride, float epsilon
#define GATE_COLUMNS_ARGUMENTS                                                                              \
  global float *x, global const float *gate, uint columns, uint row, uint offset, uint stride, uint gate_row, \
      uint gate_offset, uint gate_stride

#ifdef STYLE_VECTOR
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gated_norm(GATED_NORM_ARGUMENTS) {
  global float *segment = x + segment_start(row, offset, stride);
  global const float *gates = gate + segment_start(gate_row, gate_offset, gate_stride);
  const float factor = row_factor(segment, columns, 0.0f, epsilon);
  for (uint i = 0; i < columns; i += 16) {
    const float16 z = load16(gates, i, columns);
    const float16 norm = load16(segment, i, columns) * factor * load16(weight, i, columns);
    store16(norm * (z / (1.0f + exp(-z))), segment, i, columns);
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void gate_columns(GATE_COLUMNS_ARGUMENTS) {
  global float *segment = x + segment_start(row, offset, stride);
  global const float *gates = gate + segment_start(gate_row, gate_offset, gate_stride);
  for (uint i = 0; i < columns; i += 16) {
    store16(load16(segment, i, columns) / (1.0f + exp(-load16(gates, i, columns))), segment, i, columns);
  }
}
#else
// Each lane writes the columns that it read itself.
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void gated_norm(GATED_NORM_ARGUMENTS) {
  local float2 scratch[LANES];
  global float *segment = x + segment_start(row, offset, stride);
  global const float *gates = gate + segment_start(gate_row, gate_offset, gate_stride);
  const float factor = row_factor(scratch, segment, columns, 0.0f, epsilon);
  for (uint i = get_local_id(0); i < columns; i += LANES) {
    segment[i] = segment[i] * factor * weight[i] * (gates[i] / (1.0f + exp(-gates[i])));
  }
}

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void gate_columns(GATE_COLUMNS_ARGUMENTS) {
  global float *segment = x + segment_start(row, offset, stride);
  global const float *gates = gate + segment_start(gate_row, gate_offset, gate_stride);
  for (uint i = get_local_id(0); i < columns; i += LANES) segment[i] /= 1.0f + exp(-gates[i]);
}
#endif
