// SPDX-License-Identifier: MIT
// The step's table (StepTable in step.hpp): runs of tokens, long ones first, and pieces of long runs, which are runs
// too.

static inline uint short_runs(global const uint *step_info) {
  return step_info[STEP_RUNS] - step_info[STEP_LONG_RUNS];
}

static inline global const uint *run_at(global const uint *step_info, uint run) {
  return step_info + step_info[STEP_RUNS_AT] + run * STEP_RUN_WORDS;
}

static inline global const uint *tile_at(global const uint *step_info, uint tile) {
  return step_info + step_info[STEP_TILES_AT] + tile * STEP_RUN_WORDS;
}
