// SPDX-License-Identifier: MIT
// Tokens grouped by expert, brought to their slots, and what their experts say summed up again.

// Slots of a whole batch, by one work-item or work-group: those of an expert are in the order of their tokens. Every
// lane owns each LANES-th expert, so that the order is the same on every device.
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void group_slots(
    global const uint *chosen, global const float *weights, global uint *slots, global uint *slot_tokens,
    global float *slot_weights, global uint *tile_experts, global uint *routed_step, global const uint *step_info,
    uint experts, uint used, uint tiles) {
  SHARED uint counts[MOST_EXPERTS];
  SHARED uint first_slots[MOST_EXPERTS];
  SHARED uint tiles_used[1];
  const uint lane = get_local_id(0);
  const uint choices = step_info[STEP_TOKENS] * used;
  for (uint expert = lane; expert < experts; expert += LANES) counts[expert] = 0;
  for (uint choice = 0; choice < choices; ++choice) {
    const uint expert = chosen[choice];
    if (expert % LANES == lane) slots[choice] = counts[expert]++;
  }
  barrier(CLK_LOCAL_MEM_FENCE);
  if (lane == 0) {
    uint tile = 0;
    for (uint expert = 0; expert < experts; ++expert) {
      first_slots[expert] = tile * BATCH_TILE;
      const uint end = tile + (counts[expert] + BATCH_TILE - 1) / BATCH_TILE;
      for (; tile < end; ++tile) tile_experts[tile] = expert;
    }
    tiles_used[0] = tile;
    store_step(routed_step, tile * BATCH_TILE);
  }
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
  for (uint tile = tiles_used[0] + lane; tile < tiles; tile += LANES) tile_experts[tile] = ~0u;
  for (uint slot = lane; slot < tiles_used[0] * BATCH_TILE; slot += LANES) {
    slot_tokens[slot] = ~0u;
    slot_weights[slot] = 0.0f;
  }
  barrier(CLK_GLOBAL_MEM_FENCE);
  for (uint choice = lane; choice < choices; choice += LANES) {
    const uint slot = slots[choice] + first_slots[chosen[choice]];
    slots[choice] = slot;
    slot_tokens[slot] = choice / used;
    slot_weights[slot] = weights[choice];
  }
}

// A tile of slots; lanes share its groups of 32 columns and its slots (records: PreparedShape in matmul.hpp).
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void gather_tokens(
    global const uint *slot_tokens, global const uint *tile_experts, global const uchar *from, global uchar *to,
    uint kind, uint groups) {
  const uint tile = get_group_id(0);
  if (tile_experts[tile] == ~0u) return;
  const uint record_bytes = BATCH_TILE * (kind == ACTIVATIONS_Q8 ? Q8_GROUP_BYTES : F32_GROUP_BYTES);
  for (uint i = get_local_id(0); i < groups * BATCH_TILE; i += LANES) {
    const uint slot = i % BATCH_TILE, group = i / BATCH_TILE;
    const uint token = slot_tokens[tile * BATCH_TILE + slot];
    const bool exists = token != ~0u;
    const uint place = exists ? token % BATCH_TILE : 0;
    global const uchar *source =
        from + ((exists ? (ulong)(token / BATCH_TILE) * groups : 0) + group) * record_bytes;
    global uchar *target = to + ((ulong)tile * groups + group) * record_bytes;
    if (kind == ACTIVATIONS_Q8) {
      const uint8 values = vload8(place, (global const uint *)source);
      vstore8(exists ? values : (uint8)(0u), slot, (global uint *)target);
      source += GROUP_COLUMNS * BATCH_TILE;
      target += GROUP_COLUMNS * BATCH_TILE;
    }
    for (uint row = 0; row < (kind == ACTIVATIONS_Q8 ? 4 : GROUP_COLUMNS); ++row) {
      const float value = ((global const float *)source)[row * BATCH_TILE + place];
      ((global float *)target)[row * BATCH_TILE + slot] = exists ? value : 0.0f;
    }
  }
}

#ifdef STYLE_VECTOR
#define LOAD_SOME load_floats
#define STORE_SOME(value, to) store_floats(value, to)
#define SOME 16
#else
#define LOAD_SOME(from) (*(from))
#define STORE_SOME(value, to) *(to) = value
#define SOME 1
#endif

// Sums of a token's choices, weighted unless their input was, always in their order: `products` is [slots][rows].
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void combine_experts(
    global const float *products, global const uint *slots, global const float *weights, global float *out,
    global const uint *step_info, uint rows, uint used, float factor, uint flags) {
  const uint token = get_group_id(0);
  if (token >= step_info[STEP_TOKENS]) return;
  slots += (ulong)token * used;
  weights += (ulong)token * used;
  out += (ulong)token * rows;
  uint row = get_local_id(0) * SOME;
  for (; row + SOME <= rows; row += SOME * LANES) {
    lanes_f sum = 0.0f;
    for (uint choice = 0; choice < used; ++choice) {
      const float weight = flags & FLAG_WEIGH_INPUT ? 1.0f : weights[choice];
      sum = fma((lanes_f)(weight), LOAD_SOME(products + (ulong)slots[choice] * rows + row), sum);
    }
    sum *= factor;
    if (flags & FLAG_ADD) sum += LOAD_SOME(out + row);
    STORE_SOME(sum, out + row);
  }
#ifdef STYLE_VECTOR
  for (; row < rows; ++row) {
    float sum = 0.0f;
    for (uint choice = 0; choice < used; ++choice) {
      const float weight = flags & FLAG_WEIGH_INPUT ? 1.0f : weights[choice];
      sum = fma(weight, products[(ulong)slots[choice] * rows + row], sum);
    }
    out[row] = flags & FLAG_ADD ? fma(factor, sum, out[row]) : factor * sum;
  }
#endif
}
