// SPDX-License-Identifier: MIT
// Products with the experts' matrices for CPUs, cut as in matmul_vector.cl: every tile of slots has its own expert.
// Tiles of experts that lie in another part, and tiles that nobody took (~0), are passed over.
#define ROW_TILES 1
#include "matmul_rows.cl"

#if TILE > 1 || GATED
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void expert_products(
    const global uchar* weights_0, const global uchar* weights_1, ulong offset_0, ulong offset_1, ulong stride_0,
    ulong stride_1, uint tile_bytes_0, uint tile_bytes_1, const global float* bias_0, const global float* bias_1,
    const global float* slot_weights, uint rows, uint first_expert, uint expert_count,
    const global uint* tile_experts, uint tiles,
    const global uchar* activations, global float* out, uint groups, uint flags, uint activation,
    uint tiles_per_item) {
  const uint row = TILE_ROWS * (uint)get_global_id(0);
  const uint count = min(rows - row, TILE_ROWS);
  const uint first_tile = (uint)get_global_id(1) * tiles_per_item;
  const uint last_tile = min(first_tile + tiles_per_item, tiles);
  for (uint slots = first_tile; slots < last_tile; ++slots) {
    const uint expert = tile_experts[slots];
    const uint index = expert - first_expert;
    if (index >= expert_count) continue;
    // One token's activations are the same for all its experts.
    const global uchar* records = activations + (TILE == 1 ? 0 : (ulong)slots * groups * RECORD);
    lanes_f results[GATED + 1][TILE];
#pragma unroll 1
    for (uint pass = 0; pass <= GATED; ++pass) {
      const global uchar* tile = pass == 0 ? EXPERT_TILE(0, index, row) : EXPERT_TILE(1, index, row);
      lanes_f sums[TILE];
#pragma unroll
      for (uint t = 0; t < TILE; ++t) sums[t] = 0;
      CALL_KIND(pass == 0 ? 0 : KIND_1, tile_sums, tile, groups, 0, 1, records, TILE, sums);
#pragma unroll
      for (uint t = 0; t < TILE; ++t) results[pass][t] = sums[t];
    }
    const ulong of_expert = (ulong)expert * rows + row;
    const lanes_f bias = flags & FLAG_BIAS ? load_rows(bias_0 + of_expert, count) : (lanes_f)(0.0f);
    const lanes_f up_bias = flags & FLAG_UP_BIAS ? load_rows(bias_1 + of_expert, count) : (lanes_f)(0.0f);
#pragma unroll 1
    for (uint t = 0; t < TILE; ++t) {
      const float weight = flags & FLAG_WEIGH_INPUT ? slot_weights[slots * TILE + t] : 1.0f;
      lanes_f value = results[0][t] * weight + bias;
      if (GATED) value = gated(value, results[GATED][t] * weight + up_bias, activation);
      store_rows(value, count, out + ((ulong)slots * TILE + t) * rows + row);
    }
  }
}
#else
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void expert_sum(
    const global uchar* weights_0, ulong offset_0, ulong stride_0, uint tile_bytes_0, const global float* bias_0,
    uint rows, uint first_expert, uint expert_count, const global uint* tile_experts,
    const global float* choice_weights, uint used, const global uchar* activations, global float* out, uint groups,
    float factor, uint flags) {
  const uint row = TILE_ROWS * (uint)get_global_id(0);
  const uint count = min(rows - row, TILE_ROWS);
  lanes_f total = 0.0f;
  for (uint choice = 0; choice < used; ++choice) {
    const uint expert = tile_experts[choice];
    const uint index = expert - first_expert;
    if (index >= expert_count) continue;
    lanes_f sums[1];
    sums[0] = 0;
    tile_sums_0(EXPERT_TILE(0, index, row), groups, 0, 1,
                activations + (ulong)choice * groups * RECORD, 1, sums);
    if (flags & FLAG_BIAS) sums[0] += load_rows(bias_0 + (ulong)expert * rows + row, count);
    const float weight = flags & FLAG_WEIGH_INPUT ? 1.0f : choice_weights[choice];
    total = fma((lanes_f)(weight), sums[0], total);
  }
  total *= factor;
  if (flags & FLAG_ADD) total += load_rows(out + row, count);
  store_rows(total, count, out + row);
}
#endif
