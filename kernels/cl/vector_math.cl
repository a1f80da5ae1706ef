// SPDX-License-Identifier: MIT
// Functions that OpenCL lacks or that its implementations compile to slow code. PoCL's exp(float16) is fine (26
// instructions, no call); its sin, tanh and convert_*_rte are not. Wants lanes.cl before it.

#ifdef STYLE_VECTOR
typedef float16 real;
typedef int16 real_i;
#define REAL_SELECT(otherwise, value, condition) select(otherwise, value, condition)
#define AS_REAL as_float16
#define AS_REAL_I as_int16
#else
typedef float real;
typedef int real_i;
#define REAL_SELECT(otherwise, value, condition) ((condition) ? (value) : (otherwise))
#define AS_REAL as_float
#define AS_REAL_I as_int
#endif

// 1.5 * 2^23: added to a float below 2^22 it leaves the nearest integer (ties to even) in the low bits.
#define ROUNDING 12582912.0f

// Sine and cosine of x, |x| < 6e6, absolute error below 2e-7: x minus a multiple of pi/2 that is split into three
// floats, then Taylor series up to r^9 and r^8 on [-pi/4, pi/4].
static inline void sine_cosine(real x, real *sine, real *cosine) {
  const real shifted = fma(x, (real)(0.636619772f), (real)(ROUNDING));
  const real n = shifted - ROUNDING;
  real r = fma(n, (real)(-1.57079637e+0f), x);
  r = fma(n, (real)(4.37113883e-8f), r);
  r = fma(n, (real)(1.71512451e-15f), r);
  const real z = r * r;
  real s = fma(z, (real)(2.75573192e-6f), (real)(-1.98412698e-4f));
  s = fma(z, s, (real)(8.33333333e-3f));
  s = fma(z, s, (real)(-1.66666667e-1f));
  s = fma(z * r, s, r);
  real c = fma(z, (real)(2.48015873e-5f), (real)(-1.38888889e-3f));
  c = fma(z, c, (real)(4.16666667e-2f));
  c = fma(z, c, (real)(-0.5f));
  c = fma(z, c, (real)(1.0f));
  const real_i quadrant = AS_REAL_I(shifted);
  const real_i swapped = (quadrant << 31) >> 31;
  const real_i sine_sign = (quadrant & 2) << 30;
  const real_i cosine_sign = ((quadrant + 1) & 2) << 30;
  *sine = AS_REAL(AS_REAL_I(REAL_SELECT(s, c, swapped)) ^ sine_sign);
  *cosine = AS_REAL(AS_REAL_I(REAL_SELECT(c, s, swapped)) ^ cosine_sign);
}

// tanh, relative error below 3e-7: its Taylor series up to x^13 near zero, 1 - 2 / (exp(2x) + 1) elsewhere.
static inline real hyperbolic_tangent(real x) {
  const real z = x * x;
  real near = fma(z, (real)(3.59212803e-3f), (real)(-8.86323553e-3f));
  near = fma(z, near, (real)(2.18694885e-2f));
  near = fma(z, near, (real)(-5.39682540e-2f));
  near = fma(z, near, (real)(1.33333333e-1f));
  near = fma(z, near, (real)(-3.33333333e-1f));
  near = fma(z * x, near, x);
  const real far = 1.0f - 2.0f / (exp(2.0f * x) + 1.0f);
  return REAL_SELECT(far, near, fabs(x) < 0.5f);
}

static inline real soft_cap(real x, float cap) { return cap * hyperbolic_tangent(x / cap); }

static inline float largest16(float16 v) {
  const float8 a = max(v.lo, v.hi);
  const float4 b = max(a.lo, a.hi);
  const float2 c = max(b.lo, b.hi);
  return max(c.x, c.y);
}

static inline float sum16(float16 v) {
  const float8 a = v.lo + v.hi;
  const float4 b = a.lo + a.hi;
  const float2 c = b.lo + b.hi;
  return c.x + c.y;
}

#ifdef STYLE_VECTOR
// One load or store, where vload16 and vstore16 become several narrow ones.
static inline float16 load_floats(global const float *from) { return *(global const loose_float16 *)from; }
static inline void store_floats(float16 values, global float *to) { *(global loose_float16 *)to = values; }
static inline float16 load_private(const float *from) { return *(const loose_float16 *)from; }
static inline void store_private(float16 values, float *to) { *(loose_float16 *)to = values; }
#endif
