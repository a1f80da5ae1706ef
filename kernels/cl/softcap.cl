// SPDX-License-Identifier: MIT
// logits = cap * tanh(logits / cap), in place. Vector style: a work-item takes SOFTCAP_CHUNK of a row; group style:
// one.
#ifdef STYLE_VECTOR
kernel __attribute__((reqd_work_group_size(1, 1, 1))) void softcap(global float *logits, uint vocabulary, float cap) {
  global float *row = logits + (ulong)get_global_id(1) * vocabulary;
  const uint first = get_global_id(0) * SOFTCAP_CHUNK, last = min(first + SOFTCAP_CHUNK, vocabulary);
  for (uint i = first; i < last; i += 16) store16(soft_cap(load16(row, i, last), cap), row, i, last);
}
#else
kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void softcap(global float *logits, uint vocabulary,
                                                                       float cap) {
  const uint i = get_global_id(0);
  global float *row = logits + (ulong)get_global_id(1) * vocabulary;
  if (i < vocabulary) row[i] = soft_cap(row[i], cap);
}
#endif
