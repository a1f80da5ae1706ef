// SPDX-License-Identifier: MIT
// Matrix products for CPUs: a work-item takes a tile of sixteen rows and some tiles of TILE tokens. The weights of the
// rows stay in the first caches meanwhile.
#define ROW_TILES 1
#include "matmul_rows.cl"

// Only `count` rows exist.
inline void store_rows(lanes_f value, uint count, global float* out, const global float* bias, uint flags) {
  if (count >= 16) {
    if (flags & FLAG_BIAS) value += *(const global loose_float16*)bias;
    if (flags & FLAG_ADD) value += *(const global loose_float16*)out;
    *(global loose_float16*)out = value;
    return;
  }
  float rows[16];
  vstore16(value, 0, rows);
  for (uint i = 0; i < count; ++i) {
    out[i] = rows[i] + (flags & FLAG_BIAS ? bias[i] : 0.0f) + (flags & FLAG_ADD ? out[i] : 0.0f);
  }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void matmul(
    const global uchar* weights_0, const global uchar* weights_1, const global uchar* weights_2, ulong offset_0,
    ulong offset_1, ulong offset_2, uint rows_0, uint rows_1, uint rows_2, uint tile_bytes_0, uint tile_bytes_1,
    uint tile_bytes_2, const global uchar* activations, const global float* bias, global float* out, uint groups,
    uint flags, uint activation, uint token_tiles_per_item, const global uint* step_info) {
  const uint tokens = step_info[1];
  const uint blocks_0 = blocks_of(rows_0);
  const uint blocks_1 = blocks_0 + blocks_of(rows_1);
  const uint out_rows = GATED ? rows_0 : rows_0 + rows_1 + rows_2;
  const uint first_token = (uint)get_global_id(1) * token_tiles_per_item * TILE;
  const uint last_token = min(first_token + token_tiles_per_item * TILE, tokens);
  const uint block = get_global_id(0);
  const uint matrix = block < blocks_0 ? 0 : block < blocks_1 ? 1 : 2;
  const uint row = 16 * (block - (matrix == 0 ? 0 : matrix == 1 ? blocks_0 : blocks_1));
  const uint out_row = row + (matrix == 0 ? 0 : matrix == 1 ? rows_0 : rows_0 + rows_1);
  for (uint token = first_token; token < last_token; token += TILE) {
    lanes_f results[GATED + 1][TILE];
#pragma unroll 1
    for (uint pass = 0; pass <= GATED; ++pass) {
      const uint from = matrix + pass;
      const global uchar* tile = OF_MATRIX(from, weights) + OF_MATRIX(from, offset);
      tile += (ulong)(row / 16) * OF_MATRIX(from, tile_bytes);
      lanes_f sums[TILE];
#pragma unroll
      for (uint t = 0; t < TILE; ++t) sums[t] = 0;
      CALL_KIND(kind_of(from), tile_sums, tile, groups, 0, 1, activations + (ulong)token / TILE * groups * RECORD,
                sums);
#pragma unroll
      for (uint t = 0; t < TILE; ++t) results[pass][t] = sums[t];
    }
    const uint count = min(OF_MATRIX(matrix, rows) - row, 16u);
#pragma unroll 1
    for (uint t = 0; t < min((uint)TILE, last_token - token); ++t) {
      lanes_f value = results[0][t];
      if (GATED) value = gate_activation(value, activation) * results[GATED][t];
      store_rows(value, count, out + (ulong)(token + t) * out_rows + out_row, bias + out_row, flags);
    }
  }
}
