// SPDX-License-Identifier: MIT
// IQ6_K: blocks of 256, weight = d * scale * (curve(q) + moved), a signed 8-bit scale and a bit `moved` every 16. The
// curve is a cubic; 8-bit activations are multiplied with what it is rounded to, as in ik_llama.cpp.
#define SUBGROUPS 2
#include "decode/tables.cl"

#define CURVE(code) (((0.0011972f * (code) - 0.11218f) * (code) + 6.2568f) * (code) - 127.0f)

inline void decode(const global uchar *tile, uint groups, uint group, lanes_u *q, lanes_f *scale, lanes_f *offset) {
  load_nibbles(OF_GROUP(nibbles), q);
  add_pairs(OF_GROUP(pairs), q);
#if ACTIVATION_KIND == ACTIVATIONS_Q8
  look_up_64(IQ6_TABLE, q);
  const float bias = 127.0f;
#else
  const float bias = 0.0f;
#endif
  const lanes_i packed = AS_LANES_I(load_shorts(OF_GROUP(scales)));
  const lanes_u moved = load_shorts(OF_BLOCK(moved)) >> (2 * (group % 8));
  const lanes_f d = load_halves(OF_BLOCK(d));
  scale[0] = d * TO_LANES_F((packed << 24) >> 24);
  scale[1] = d * TO_LANES_F((packed << 16) >> 24);
#pragma unroll
  for (uint i = 0; i < 2; ++i) offset[i] = MOVED_OFFSET(scale[i], moved, i, 1.0f, bias);
}
