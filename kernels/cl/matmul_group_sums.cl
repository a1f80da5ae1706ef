// SPDX-License-Identifier: MIT
// Sums by work-groups, a lane a row. One token: a tile of rows, cut into slices of the columns whose sums are added
// in local memory. Batches: some tiles of rows and TILE tokens, whose activations pass through local memory.
#if TILE == 1
#define ROW_TILES 1
#define SLICES GROUP_SLICES
#else
#define ROW_TILES GROUP_ROW_TILES
#define SLICES 1
#endif
#include "matmul_rows.cl"

#if TILE == 1
// The sum of what all slices have.
inline lanes_f sum_slices(local uchar* scratch, lanes_f sum) {
  local float* parts = (local float*)scratch;
  const uint slice = get_local_id(1);
  barrier(CLK_LOCAL_MEM_FENCE);
  parts[TILE_ROWS * slice + LANE] = sum;
  for (uint half_way = SLICES / 2; half_way > 0; half_way /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (slice < half_way) parts[TILE_ROWS * slice + LANE] += parts[TILE_ROWS * (slice + half_way) + LANE];
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  return parts[LANE];
}

inline void matrix_sums(uint kind, const global uchar* tile, uint groups, const global uchar* activations,
                        local uchar* scratch, lanes_f* sums) {
  sums[0] = 0;
  CALL_KIND(kind, tile_sums, tile, groups, get_local_id(1), SLICES, activations, 1, sums);
  sums[0] = sum_slices(scratch, sums[0]);
}
#define SCRATCH_BYTES (TILE_ROWS * SLICES * sizeof(float))
#else
inline void matrix_sums(uint kind, const global uchar* tile, uint groups, const global uchar* activations,
                        local uchar* scratch, lanes_f* sums) {
  for (uint t = 0; t < TILE; ++t) sums[t] = 0;
  for (uint group = 0; group < groups; ++group) {
    const global uint4* record = (const global uint4*)(activations + (ulong)group * RECORD);
    barrier(CLK_LOCAL_MEM_FENCE);
    // As vectors: stored as uint, what is read as float below could be taken for other memory, and read before.
    for (uint i = get_local_id(0); i < RECORD / 16; i += TILE_ROWS * ROW_TILES) ((local uint4*)scratch)[i] = record[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    CALL_KIND(kind, group_sums, tile, groups, group, scratch, TILE, sums);
  }
}
#define SCRATCH_BYTES RECORD
#endif
