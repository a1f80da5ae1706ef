// SPDX-License-Identifier: MIT
// The causal convolution (delta.hpp). A task takes a block of channels of a piece of the step: a tile of a long run, or
// a run of one token. The first piece of a run reads the old state and leaves the new one, so that no other work-item
// reads what it writes.
#include "lanes.cl"
#include "vector_math.cl"
#include "runs.cl"

#define HISTORY (CONV_WIDTH - 1)
#define WIDE ((uint)(sizeof(channels_f) / sizeof(float)))
#define CONV_ARGUMENTS                                                                                          \
  global const float *in, global const float *weights, global float *state, global float *out,                  \
      global const uint *step_info, uint channels, uint row, uint offset

static inline global const uint *piece_at(global const uint *step_info, uint piece) {
  const uint tiles = step_info[STEP_TILES];
  return piece < tiles ? tile_at(step_info, piece)
                       : run_at(step_info, step_info[STEP_LONG_RUNS] + piece - tiles);
}

// The run that a piece belongs to.
static inline global const uint *run_of(global const uint *step_info, global const uint *piece) {
  global const uint *run = run_at(step_info, 0);
  while (piece[RUN_FIRST] - run[RUN_FIRST] >= run[RUN_TOKENS]) run += STEP_RUN_WORDS;
  return run;
}

#ifdef STYLE_VECTOR
typedef float16 channels_f;
#define VECTORS (CONV_CHANNELS / WIDE)
#define LOAD(from) load_floats(from)
#define STORE(value, to) store_floats(value, to)
// The weights of 16 channels, one vector a token that the sum reaches.
static inline void load_weights(global const float *from, channels_f *w) {
#if CONV_WIDTH == 4
  const float16 a = load_floats(from), b = load_floats(from + 16), c = load_floats(from + 32);
  const float16 d = load_floats(from + 48);
  w[0] = (float16)(a.s048c, b.s048c, c.s048c, d.s048c);
  w[1] = (float16)(a.s159d, b.s159d, c.s159d, d.s159d);
  w[2] = (float16)(a.s26ae, b.s26ae, c.s26ae, d.s26ae);
  w[3] = (float16)(a.s37bf, b.s37bf, c.s37bf, d.s37bf);
#else
  for (uint j = 0; j < CONV_WIDTH; ++j) {
    for (uint c = 0; c < 16; ++c) ((float *)&w[j])[c] = from[c * CONV_WIDTH + j];
  }
#endif
}
#else
#define LANES GROUP_LANES
typedef float channels_f;
#define VECTORS 1
#define LOAD(from) (*(from))
#define STORE(value, to) (*(to) = (value))
static inline void load_weights(global const float *from, channels_f *w) {
  for (uint j = 0; j < CONV_WIDTH; ++j) w[j] = from[j];
}
#endif

// VECTORS vectors' channels, of which the first `count` exist, token by token: rows are read and written in their
// order. `in`, `state` and `out` point to the first channel in row 0 of the step, of the sequence's state and of the
// step.
static inline void convolve(global const float *in, global const float *weights, global float *state,
                            global float *out, global const uint *run, global const uint *piece, uint channels,
                            uint row, uint count) {
  const uint first = piece[RUN_FIRST], before = first - run[RUN_FIRST], tokens = piece[RUN_TOKENS];
  const bool fresh = run[RUN_POSITION] == 0;
  channels_f w[VECTORS * CONV_WIDTH], history[VECTORS * HISTORY];
  for (uint i = 0; i < count; ++i) {
    load_weights(weights + i * WIDE * CONV_WIDTH, w + i * CONV_WIDTH);
    for (uint j = 0; j < HISTORY; ++j) {
      channels_f x = 0.0f;
      if (before + j >= HISTORY) {
        x = LOAD(in + (ulong)(first + j - HISTORY) * row + i * WIDE);
      } else if (!fresh) {
        x = LOAD(state + (ulong)(before + j) * channels + i * WIDE);
      }
      history[i * HISTORY + j] = x;
    }
  }
  for (uint t = first; t < first + tokens; ++t) {
    for (uint i = 0; i < count; ++i) {
      channels_f *last = history + i * HISTORY;
      const channels_f x = LOAD(in + (ulong)t * row + i * WIDE);
      channels_f sum = x * w[i * CONV_WIDTH + HISTORY];
      #pragma unroll
      for (uint j = 0; j < HISTORY; ++j) sum = fma(last[j], w[i * CONV_WIDTH + j], sum);
      #pragma unroll
      for (uint j = 0; j + 1 < HISTORY; ++j) last[j] = last[j + 1];
      last[HISTORY - 1] = x;
      STORE(sum / (1.0f + exp(-sum)), out + (ulong)t * channels + i * WIDE);
    }
  }
  if (before != 0) return;
  const uint all = run[RUN_TOKENS];
  for (uint j = 0; j < HISTORY; ++j) {
    for (uint i = 0; i < count; ++i) {
      channels_f x = 0.0f;
      if (all + j >= HISTORY) {
        x = LOAD(in + (ulong)(first + all + j - HISTORY) * row + i * WIDE);
      } else if (!fresh) {
        x = LOAD(state + (ulong)(all + j) * channels + i * WIDE);  // from behind the row that is written
      }
      STORE(x, state + (ulong)j * channels + i * WIDE);
    }
  }
}

#ifdef STYLE_VECTOR
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void causal_conv(CONV_ARGUMENTS) {
#else
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void causal_conv(CONV_ARGUMENTS) {
#endif
  const uint c = get_global_id(0) * VECTORS * WIDE, number = get_global_id(1);
  if (c >= channels || number >= step_info[STEP_TILES] + short_runs(step_info)) return;
  global const uint *piece = piece_at(step_info, number);
  global const uint *run = number < step_info[STEP_TILES] ? run_of(step_info, piece) : piece;
  convolve(in + offset + c, weights + (ulong)c * CONV_WIDTH,
           state + (ulong)run[RUN_SEQUENCE] * HISTORY * channels + c, out + c, run, piece, channels, row,
           min((channels - c) / WIDE, (uint)VECTORS));
}
