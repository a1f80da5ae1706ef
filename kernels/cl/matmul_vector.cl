// SPDX-License-Identifier: MIT
// Matrix products for CPUs: a work-item takes a tile of sixteen rows and some tiles of TILE tokens. The weights of the
// rows stay in the first caches meanwhile. Of a tile that is at most half or a quarter full no more than that is computed.
#define ROW_TILES 1
#include "matmul_rows.cl"

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matmul(
    const global uchar* weights_0, const global uchar* weights_1, const global uchar* weights_2, ulong offset_0,
    ulong offset_1, ulong offset_2, uint rows_0, uint rows_1, uint rows_2, uint tile_bytes_0, uint tile_bytes_1,
    uint tile_bytes_2, const global uchar* activations, const global float* bias, global float* out, uint groups,
    uint heads, uint head_rows, float factor, uint flags, uint activation, uint token_tiles_per_item,
    const global uint* step_info) {
  const uint tokens = step_info[STEP_TOKENS];
  const uint blocks_0 = blocks_of(rows_0);
  const uint blocks_1 = blocks_0 + blocks_of(rows_1);
  const uint out_rows = GATED ? rows_0 : rows_0 + rows_1 + rows_2;
  const uint first_token = (uint)get_global_id(1) * token_tiles_per_item * TILE;
  const uint last_token = min(first_token + token_tiles_per_item * TILE, tokens);
  const uint block = get_global_id(0);
  const uint matrix = block < blocks_0 ? 0 : block < blocks_1 ? 1 : 2;
  const uint row = TILE_ROWS * (block - (matrix == 0 ? 0 : matrix == 1 ? blocks_0 : blocks_1));
  const uint out_row = row + (matrix == 0 ? 0 : matrix == 1 ? rows_0 : rows_0 + rows_1);
  const uint head = matrix == 0 ? row / head_rows : 0;
  for (uint token = first_token; token < last_token; token += TILE) {
    const global uchar* records = activations + ((ulong)token / TILE * heads + head) * groups * RECORD;
    lanes_f results[GATED + 1][TILE];
#pragma unroll 1
    for (uint pass = 0; pass <= GATED; ++pass) {
      const uint from = matrix + pass;
      const global uchar* tile = OF_MATRIX(from, weights) + OF_MATRIX(from, offset);
      tile += (ulong)(row / TILE_ROWS) * OF_MATRIX(from, tile_bytes);
      lanes_f sums[TILE];
#pragma unroll
      for (uint t = 0; t < TILE; ++t) sums[t] = 0;
      const uint left = last_token - token;
      if (TILE > 1 && left <= TILE / 4) {
        CALL_KIND(kind_of(from), tile_sums, tile, groups, 0, 1, records, TILE / 4, sums);
      } else if (TILE > 1 && left <= TILE / 2) {
        CALL_KIND(kind_of(from), tile_sums, tile, groups, 0, 1, records, TILE / 2, sums);
      } else {
        CALL_KIND(kind_of(from), tile_sums, tile, groups, 0, 1, records, TILE, sums);
      }
#pragma unroll
      for (uint t = 0; t < TILE; ++t) results[pass][t] = sums[t];
    }
    const uint count = min(OF_MATRIX(matrix, rows) - row, TILE_ROWS);
#pragma unroll 1
    for (uint t = 0; t < min((uint)TILE, last_token - token); ++t) {
      global float* to = out + (ulong)(token + t) * out_rows + out_row;
      lanes_f value = results[0][t];
      if (flags & FLAG_BIAS) value += load_rows(bias + out_row, count);
#if GATED
      lanes_f up = results[1][t];
      if (flags & FLAG_BIAS) up += load_rows(bias + rows_0 + out_row, count);
      value = gated(value, up, activation);
#elif ACTIVATED
      value = activated(value, activation);
#endif
      value *= factor;
      if (flags & FLAG_ADD) value += load_rows(to, count);
      store_rows(value, count, to);
    }
  }
}
