// SPDX-License-Identifier: MIT
// Rows of a packed matrix as floats. A tile is decoded whole, and one of its sixteen rows is taken.
#ifndef CURVE
#define CURVE(code) (code)
#endif
#ifdef STYLE_VECTOR
inline float pick(lanes_f values, uint lane) {
  float all[TILE_ROWS];
  vstore16(values, 0, all);
  return all[lane];
}
inline uint pick_bits(lanes_u values, uint lane) {
  uint all[TILE_ROWS];
  vstore16(values, 0, all);
  return all[lane];
}
#define LANES 1
#define IS_LANE(lane) 1
#else
inline float pick(lanes_f values, uint lane) { return values; }
inline uint pick_bits(lanes_u values, uint lane) { return values; }
#define LANES TILE_ROWS
#define IS_LANE(lane) (LANE == (lane))
#endif

kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void embed(const global uchar* weights, ulong offset,
                                                                     uint tile_bytes, uint groups, uint columns,
                                                                     uint groups_per_item, float factor,
                                                                     const global int* tokens, global float* out,
                                                                     const global uint* step_info) {
  const uint token = get_global_id(1);
  if (token >= step_info[STEP_TOKENS]) return;
  const uint row = tokens[token];
  const uint lane = row % TILE_ROWS;
  const global uchar* tile = weights + offset + (ulong)(row / TILE_ROWS) * tile_bytes;
  const uint first = (uint)get_group_id(0) * groups_per_item;
  for (uint group = first; group < min(first + groups_per_item, groups); ++group) {
    float values[GROUP_COLUMNS];
#ifdef FLOAT_WEIGHTS
#pragma unroll
    for (uint c = 0; c < GROUP_COLUMNS; ++c) values[c] = pick(decode_float(tile, GROUP_COLUMNS * group + c), lane);
#else
    lanes_u q[8];
    lanes_f scale[SUBGROUPS];
    lanes_f offset_of[SUBGROUPS];
    decode(tile, groups, group, q, scale, offset_of);
    float scales[SUBGROUPS];
    float offsets[SUBGROUPS];
#pragma unroll
    for (uint i = 0; i < SUBGROUPS; ++i) {
      scales[i] = pick(scale[i], lane);
      offsets[i] = pick(offset_of[i], lane);
    }
#pragma unroll
    for (uint j = 0; j < 8; ++j) {
      const uint codes = pick_bits(q[j], lane);
      const uint part = j * SUBGROUPS / 8;
#pragma unroll
      for (uint k = 0; k < 4; ++k) {
        const float code = (float)((codes >> (8 * k)) & 0xffu);
        values[4 * j + k] = fma(scales[part], CURVE(code), offsets[part]);
      }
    }
#endif
    if (!IS_LANE(lane)) continue;
    global float* place = out + (ulong)token * columns + GROUP_COLUMNS * group;
    for (uint c = 0; c < min(columns - GROUP_COLUMNS * group, GROUP_COLUMNS); ++c) place[c] = factor * values[c];
  }
}
