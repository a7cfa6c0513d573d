/* The head of GLPN from the quarter-size map: two bilinear doublings, conv 3x3, ReLU, conv 3x3 to
   one channel, sigmoid, times max_depth, without ever storing the full-size map.

   Doubling and convolution are linear. The first convolution's nine taps are therefore applied to
   the quarter-size map, as a 1x1 convolution each, and the results are interpolated: the same
   values with a sixteenth of its multiplications. The kernel runs row by row over the quarter-size map.
   It keeps a ring of three rows of taps, one of three interpolated columns, and one of six rows of
   the last convolution's products, all of which stay in the cache.

   The library calls no other code, allocates no memory and has no state. Python passes the memory
   and runs bands of rows in any number of threads. The bands do not affect a pixel's result. */

#include <stddef.h>
#include <stdint.h>

#include "clones.h"

#define DOT_STRIDE 16 /* floats between the second convolution's channels, nine used */
#define PRODUCT_ROWS 6

/* One image, or a band of it; mirrored by `_Job` in __init__.py. */
struct glpn_head_job {
  const void *features; /* [h, w, C] by `strides`: float32, or bfloat16 */
  const float *taps;    /* [C, 9, C] of the first convolution: in, tap, out */
  const float *bias1;   /* [C] */
  const float *dots;    /* [C, DOT_STRIDE], nine used: the taps of the second */
  float *out;           /* metres [4h, 4w] */
  float *workspace;     /* glpn_head_workspace floats */
  int64_t height, width, channels;
  int64_t strides[3];   /* of the features, in elements: row, column, channel */
  int64_t first, last;  /* this band's rows of the quarter-size map */
  float bias2, max_depth;
  int32_t bfloat16;     /* whether the features are */
  int32_t clone;        /* below glpn_head_clones(), and its vectors must divide C */
};

struct scratch {
  float *taps;     /* [3, w, 9, C] */
  float *columns;  /* [3, 4, 3, C] */
  float *pixels;   /* [4, C] */
  float *features; /* [w, C] */
  float *products; /* [PRODUCT_ROWS, 4w * 9 + DOT_STRIDE] */
};

static size_t product_stride(const struct glpn_head_job *job) {
  return 36 * job->width + DOT_STRIDE;
}

static float *product_row(const struct glpn_head_job *job, const struct scratch *scratch,
                          int64_t y) {
  return scratch->products + y % PRODUCT_ROWS * product_stride(job);
}

static float widen(uint16_t bfloat16) {
  union {
    uint32_t bits;
    float value;
  } u = {(uint32_t)bfloat16 << 16};
  return u.value;
}

/* e^x within 2 ulp between -87 and 88, clamped outside; NaN stays NaN. */
static inline float exponential(float x) {
  x = x > 88.f ? 88.f : x;
  x = x < -87.f ? -87.f : x;
  const float shift = 12582912.f; /* 1.5 * 2^23: adding it rounds to a whole number */
  union {
    float value;
    uint32_t bits;
  } n = {x * 1.44269504f + shift}, scale;
  const float whole = n.value - shift;
  const float r = x - whole * .693359375f + whole * 2.12194440e-4f; /* x - n ln 2, in two steps */
  scale.bits = (n.bits << 23) + (127u << 23);
  const float p =
      1.f +
      r * (1.f +
           r * (.5f +
                r * (.16666665f + r * (4.1665795e-2f + r * (8.3334519e-3f + r * 1.3981999e-3f)))));
  return p * scale.value;
}

#if defined(__x86_64__)
#define NAME(x) x##_v4
#define TARGET __attribute__((target(AVX512)))
#define LANES 16
#define TILE 8
#include "head_rows.h"
#undef NAME
#undef TARGET
#undef LANES
#undef TILE

#define NAME(x) x##_v3
#define TARGET __attribute__((target(AVX2)))
#define LANES 8
#define TILE 4
#include "head_rows.h"
#undef NAME
#undef TARGET
#undef LANES
#undef TILE
#endif

#define NAME(x) x##_base
#define TARGET
#define LANES 4
#define TILE 4
#include "head_rows.h"

struct clone {
  void (*tap_row)(const struct glpn_head_job *, const float *, float *);
  void (*products)(const struct glpn_head_job *, const struct scratch *, const float *const[3],
                   int64_t, int, int);
  void (*finish)(const struct glpn_head_job *, const struct scratch *, int64_t);
};

static const struct clone CLONES[] = {
    {tap_row_base, products_base, finish_base},
#if defined(__x86_64__)
    {tap_row_v3, products_v3, finish_v3},
    {tap_row_v4, products_v4, finish_v4},
#endif
};

EXPORT int32_t glpn_head_clones(void) { return clones_here(); }

static struct scratch split(const struct glpn_head_job *job) {
  const size_t width = job->width, channels = job->channels;
  struct scratch s;
  s.taps = job->workspace;
  s.columns = s.taps + 27 * width * channels;
  s.pixels = s.columns + 36 * channels;
  s.features = s.pixels + 4 * channels;
  s.products = s.features + width * channels;
  return s;
}

/* Floats of workspace that one band needs. */
EXPORT int64_t glpn_head_workspace(int64_t width, int64_t channels) {
  return 28 * width * channels + 40 * channels + PRODUCT_ROWS * (36 * width + DOT_STRIDE);
}

/* Row r of the features as float32 [w, C]: in place if it has that layout, else a copy. */
static const float *feature_row(const struct glpn_head_job *job, const struct scratch *scratch,
                                int64_t r) {
  const int64_t channels = job->channels, *strides = job->strides;
  const float *row = (const float *)job->features + r * strides[0];
  const uint16_t *half = (const uint16_t *)job->features + r * strides[0];
  if (!job->bfloat16 && strides[2] == 1 && strides[1] == channels) return row;
  float *copy = scratch->features;
  for (int64_t x = 0; x < job->width; x++)
    for (int64_t c = 0; c < channels; c++) {
      const int64_t at = x * strides[1] + c * strides[2];
      copy[x * channels + c] = job->bfloat16 ? widen(half[at]) : row[at];
    }
  return copy;
}

/* Output rows [4 first, 4 last). They need one more row of products on either side, which the band
   computes itself. */
EXPORT void glpn_head(const struct glpn_head_job *job) {
  const struct scratch scratch = split(job);
  const struct clone *clone = &CLONES[job->clone];
  const int64_t height = job->height, rows = 4 * height;
  const int64_t begin = job->first > 0 ? job->first - 1 : 0;
  const int64_t end = job->last < height ? job->last + 1 : height;
  const int64_t taps = 9 * job->width * job->channels;
  int64_t made = begin > 0 ? begin - 1 : 0, y = 4 * job->first;
  for (int64_t i = begin; i < end; i++) {
    const int64_t above = i > 0 ? i - 1 : 0, below = i < height - 1 ? i + 1 : i;
    for (; made <= below; made++)
      clone->tap_row(job, feature_row(job, &scratch, made), scratch.taps + made % 3 * taps);
    const float *near[3] = {scratch.taps + above % 3 * taps, scratch.taps + i % 3 * taps,
                            scratch.taps + below % 3 * taps};
    const int first = i < job->first ? 3 : 0, last = i < job->last ? 4 : 1;
    clone->products(job, &scratch, near, i, first, last);
    const int64_t known = 4 * i + last;
    for (; y < 4 * job->last && (y + 1 < known || known == rows); y++)
      clone->finish(job, &scratch, y);
  }
}
