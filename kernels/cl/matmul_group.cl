// SPDX-License-Identifier: MIT
// Matrix products for GPUs; matmul_group_sums.cl says how work is cut.
#include "matmul_group_sums.cl"

kernel __attribute__((reqd_work_group_size(TILE_ROWS * ROW_TILES, SLICES, 1))) void matmul(
    const global uchar* weights_0, const global uchar* weights_1, const global uchar* weights_2, ulong offset_0,
    ulong offset_1, ulong offset_2, uint rows_0, uint rows_1, uint rows_2, uint tile_bytes_0, uint tile_bytes_1,
    uint tile_bytes_2, const global uchar* activations, const global float* bias, global float* out, uint groups,
    uint heads, uint head_rows, float factor, uint flags, uint activation, const global uint* step_info) {
  local uchar scratch[SCRATCH_BYTES] __attribute__((aligned(16)));
  const uint tokens = step_info[STEP_TOKENS];
  // No block holds rows of two heads or matrices.
  const uint head_blocks = blocks_of(head_rows);
  const uint blocks_0 = heads * head_blocks;
  const uint blocks_1 = blocks_0 + blocks_of(rows_1);
  const uint out_rows = GATED ? rows_0 : rows_0 + rows_1 + rows_2;
  const uint block = get_group_id(0);
  const uint matrix = block < blocks_0 ? 0 : block < blocks_1 ? 1 : 2;
  const uint head = matrix == 0 ? block / head_blocks : 0;
  const uint first_block = matrix == 0 ? head * head_blocks : matrix == 1 ? blocks_0 : blocks_1;
  const uint tile_row =
      head * head_rows + TILE_ROWS * (ROW_TILES * (block - first_block) + (uint)get_local_id(0) / TILE_ROWS);
  const uint rows = matrix == 0 ? (head + 1) * head_rows : matrix == 1 ? rows_1 : rows_2;
  // Lanes without a row compute the last tile again, because all of a group meet at its barriers.
  const uint tile_index = min(tile_row, rows - 1) / TILE_ROWS;
  const uint token = (uint)get_group_id(1) * TILE;
  const global uchar* records = activations + ((ulong)token / TILE * heads + head) * groups * RECORD;
  lanes_f sums[TILE];
  matrix_sums(
      kind_of(matrix),
      OF_MATRIX(matrix, weights) + OF_MATRIX(matrix, offset) + (ulong)tile_index * OF_MATRIX(matrix, tile_bytes),
      groups, records, scratch, sums);
#if GATED
  lanes_f ups[TILE];
  matrix_sums(KIND_1, weights_1 + offset_1 + (ulong)tile_index * tile_bytes_1, groups, records, scratch, ups);
#endif
  const uint row = tile_row + LANE;
  if (row >= rows || get_local_id(1) != 0) return;
  const uint out_row = row + (matrix == 0 ? 0 : matrix == 1 ? rows_0 : rows_0 + rows_1);
#pragma unroll
  for (uint t = 0; t < TILE; ++t) {
    if (token + t >= tokens) continue;
    lanes_f value = sums[t];
    global float* place = out + (ulong)(token + t) * out_rows + out_row;
    if (flags & FLAG_BIAS) value += bias[out_row];
#if GATED
    lanes_f up = ups[t];
    if (flags & FLAG_BIAS) up += bias[rows_0 + out_row];
    value = gated(value, up, activation);
#elif ACTIVATED
    value = activated(value, activation);
#endif
    value *= factor;
    if (flags & FLAG_ADD) value += *place;
    *place = value;
  }
}
