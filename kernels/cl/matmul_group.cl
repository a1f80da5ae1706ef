// SPDX-License-Identifier: MIT
// Matrix products for GPUs: a lane a row. One token: a work-group takes a tile of sixteen rows, cut into slices of the
// columns whose sums are added in local memory. Batches: a work-group takes four tiles of rows and TILE tokens, whose
// activations pass through local memory.
#if TILE == 1
#define ROW_TILES 1
#define SLICES 16
#else
#define ROW_TILES 4
#define SLICES 1
#endif
#include "matmul_rows.cl"

#if TILE == 1
// All slices take part; the first one gets the sum.
inline void matrix_sums(uint kind, const global uchar* tile, uint groups, const global uchar* activations,
                        local uchar* scratch, lanes_f* sums) {
  local float* parts = (local float*)scratch;
  const uint slice = get_local_id(1);
  sums[0] = 0;
  CALL_KIND(kind, tile_sums, tile, groups, slice, SLICES, activations, sums);
  barrier(CLK_LOCAL_MEM_FENCE);
  parts[16 * slice + LANE] = sums[0];
  for (uint half_way = SLICES / 2; half_way > 0; half_way /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (slice < half_way) parts[16 * slice + LANE] += parts[16 * (slice + half_way) + LANE];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  sums[0] = parts[LANE];
}
#define SCRATCH_BYTES (16 * SLICES * 4)
#else
inline void matrix_sums(uint kind, const global uchar* tile, uint groups, const global uchar* activations,
                        local uchar* scratch, lanes_f* sums) {
  for (uint t = 0; t < TILE; ++t) sums[t] = 0;
  for (uint group = 0; group < groups; ++group) {
    const global uint4* record = (const global uint4*)(activations + (ulong)group * RECORD);
    barrier(CLK_LOCAL_MEM_FENCE);
    // As vectors: stored as uint, what is read as float below could be taken for other memory, and read before.
    for (uint i = get_local_id(0); i < RECORD / 16; i += 16 * ROW_TILES) ((local uint4*)scratch)[i] = record[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    CALL_KIND(kind, group_sums, tile, groups, group, scratch, sums);
  }
}
#define SCRATCH_BYTES RECORD
#endif

kernel __attribute__((reqd_work_group_size(16 * ROW_TILES, SLICES, 1))) void matmul(
    const global uchar* weights_0, const global uchar* weights_1, const global uchar* weights_2, ulong offset_0,
    ulong offset_1, ulong offset_2, uint rows_0, uint rows_1, uint rows_2, uint tile_bytes_0, uint tile_bytes_1,
    uint tile_bytes_2, const global uchar* activations, const global float* bias, global float* out, uint groups,
    uint flags, uint activation, const global uint* step_info) {
  local uchar scratch[SCRATCH_BYTES] __attribute__((aligned(16)));
  const uint tokens = step_info[1];
  const uint blocks_0 = blocks_of(rows_0);
  const uint blocks_1 = blocks_0 + blocks_of(rows_1);
  const uint out_rows = GATED ? rows_0 : rows_0 + rows_1 + rows_2;
  const uint block = get_group_id(0);
  const uint matrix = block < blocks_0 ? 0 : block < blocks_1 ? 1 : 2;
  const uint tile_row = 16 * (ROW_TILES * (block - (matrix == 0   ? 0
                                                    : matrix == 1 ? blocks_0
                                                                  : blocks_1)) +
                              (uint)get_local_id(0) / 16);
  const uint rows = OF_MATRIX(matrix, rows);
  // Lanes without a row compute the last tile again, because all of a group meet at its barriers.
  const uint tile_index = min(tile_row, rows - 1) / 16;
  const uint token = (uint)get_group_id(1) * TILE;
  const global uchar* records = activations + (ulong)token / TILE * groups * RECORD;
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
#if GATED
    value = gate_activation(value, activation) * ups[t];
#endif
    global float* place = out + (ulong)(token + t) * out_rows + out_row;
    if (flags & FLAG_BIAS) value += bias[out_row];
    if (flags & FLAG_ADD) value += *place;
    *place = value;
  }
}
