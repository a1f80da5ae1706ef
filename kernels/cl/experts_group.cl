// SPDX-License-Identifier: MIT
// Products with the experts' matrices for GPUs, cut as in matmul_group.cl: every tile of slots has its own expert. All
// of a work-group have the same one; where it lies in another part, or nobody took the tile (~0), they sum nothing and
// store nothing, but meet at the barriers.
#include "matmul_group_sums.cl"

#if TILE > 1 || GATED
kernel __attribute__((reqd_work_group_size(TILE_ROWS * ROW_TILES, SLICES, 1))) void expert_products(
    const global uchar* weights_0, const global uchar* weights_1, ulong offset_0, ulong offset_1, ulong stride_0,
    ulong stride_1, uint tile_bytes_0, uint tile_bytes_1, const global float* bias_0, const global float* bias_1,
    const global float* slot_weights, uint rows, uint first_expert, uint expert_count,
    const global uint* tile_experts, uint tiles,
    const global uchar* activations, global float* out, uint groups, uint flags, uint activation) {
  local uchar scratch[SCRATCH_BYTES] __attribute__((aligned(16)));
  const uint tile_row = TILE_ROWS * (ROW_TILES * (uint)get_group_id(0) + (uint)get_local_id(0) / TILE_ROWS);
  const uint slots = get_group_id(1);
  const uint expert = slots < tiles ? tile_experts[slots] : ~0u;
  const bool mine = expert - first_expert < expert_count;
  const uint index = mine ? expert - first_expert : 0;
  const uint my_groups = mine ? groups : 0;
  const global uchar* records = activations + (TILE == 1 ? 0 : (ulong)slots * groups * RECORD);
  lanes_f sums[TILE];
  matrix_sums(0, EXPERT_TILE(0, index, min(tile_row, rows - 1)), my_groups, records, scratch, sums);
#if GATED
  lanes_f ups[TILE];
  matrix_sums(KIND_1, EXPERT_TILE(1, index, min(tile_row, rows - 1)), my_groups, records, scratch, ups);
#endif
  const uint row = tile_row + LANE;
  if (!mine || row >= rows || get_local_id(1) != 0) return;
  const ulong of_expert = (ulong)expert * rows + row;
  const float bias = flags & FLAG_BIAS ? bias_0[of_expert] : 0.0f;
#if GATED
  const float up_bias = flags & FLAG_UP_BIAS ? bias_1[of_expert] : 0.0f;
#endif
#pragma unroll
  for (uint t = 0; t < TILE; ++t) {
    const float weight = flags & FLAG_WEIGH_INPUT ? slot_weights[slots * TILE + t] : 1.0f;
    lanes_f value = sums[t] * weight + bias;
#if GATED
    value = gated(value, ups[t] * weight + up_bias, activation);
#endif
    out[((ulong)slots * TILE + t) * rows + row] = value;
  }
}
#else
kernel __attribute__((reqd_work_group_size(TILE_ROWS * ROW_TILES, SLICES, 1))) void expert_sum(
    const global uchar* weights_0, ulong offset_0, ulong stride_0, uint tile_bytes_0, const global float* bias_0,
    uint rows, uint first_expert, uint expert_count, const global uint* tile_experts,
    const global float* choice_weights, uint used, const global uchar* activations, global float* out, uint groups,
    float factor, uint flags) {
  local uchar scratch[SCRATCH_BYTES] __attribute__((aligned(16)));
  const uint tile_row = TILE_ROWS * (uint)get_group_id(0);
  const uint slice = get_local_id(1);
  const uint row = tile_row + LANE;
  float total = 0.0f;
  for (uint choice = 0; choice < used; ++choice) {
    const uint expert = tile_experts[choice];
    const uint index = expert - first_expert;
    if (index >= expert_count) continue;
    float sums[1];
    sums[0] = 0;
    tile_sums_0(EXPERT_TILE(0, index, tile_row), groups, slice, SLICES,
                activations + (ulong)choice * groups * RECORD, 1, sums);
    // Once, by the first slice.
    if (flags & FLAG_BIAS && slice == 0 && row < rows) sums[0] += bias_0[(ulong)expert * rows + row];
    total = fma(flags & FLAG_WEIGH_INPUT ? 1.0f : choice_weights[choice], sums[0], total);
  }
  total = factor * sum_slices(scratch, total);
  if (row >= rows || slice != 0) return;
  if (flags & FLAG_ADD) total += out[row];
  out[row] = total;
}
#endif
