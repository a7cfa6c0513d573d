/* The head's kernel for one instruction set. head.c includes this file once per instruction set,
   after defining NAME(x) (this clone's names), TARGET (its function attribute) and LANES (floats in
   a vector), so there is no include guard.

   Vectors run over channels. `four_phases` implements the polyphase interpolation for both
   directions: first down the rows, then along the columns. */

#define VEC NAME(vec)
#define INTS NAME(ints)
#define INLINE TARGET static inline __attribute__((always_inline))
#define DOT_VECTORS ((9 + LANES - 1) / LANES) /* vectors that hold nine values */

typedef float VEC __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t INTS __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE VEC NAME(load)(const float *from) { return *(const VEC *)from; }
INLINE void NAME(store)(float *to, VEC x) { *(VEC *)to = x; }

/* ReLU that keeps NaN, as torch's does. */
INLINE VEC NAME(relu)(VEC x) { return (VEC)((INTS)x & ~(INTS)(x < (VEC){0})); }

/* Two bilinear doublings, then three taps, at the four outputs of one low-resolution position. a, b
   and c are the taps (-1, 0, +1) of the previous, this, and the next position. `outer` is 0 where
   the convolution's outermost tap leaves the map (before the first or behind the last position),
   else 1, because the convolution pads the doubled map with zeros. */
INLINE void NAME(four_phases)(const VEC a[3], const VEC b[3], const VEC c[3], const float outer[2],
                              VEC out[4]) {
  out[0] = .625f * outer[0] * a[0] + .375f * outer[0] * b[0] + .375f * a[1] + .625f * b[1] +
           .1875f * a[2] + .75f * b[2] + .0625f * c[2];
  out[1] = .375f * a[0] + .625f * b[0] + .1875f * a[1] + .75f * b[1] + .0625f * c[1] +
           .0625f * a[2] + .75f * b[2] + .1875f * c[2];
  out[2] = .1875f * a[0] + .75f * b[0] + .0625f * c[0] + .0625f * a[1] + .75f * b[1] +
           .1875f * c[1] + .625f * b[2] + .375f * c[2];
  out[3] = .0625f * a[0] + .75f * b[0] + .1875f * c[0] + .625f * b[1] + .375f * c[1] +
           .375f * outer[1] * b[2] + .625f * outer[1] * c[2];
}

/* features [pixels, C] x weight [C, 9C], three vectors wide, into taps [pixels, 9C]. */
INLINE void NAME(tap_tile)(const float *features, const float *weight, float *taps, size_t channels,
                           const int pixels) {
  const size_t wide = 9 * channels;
  VEC sum[TILE][3];
  for (int i = 0; i < pixels; i++)
    for (int j = 0; j < 3; j++) sum[i][j] = (VEC){0};
  for (size_t k = 0; k < channels; k++) {
    VEC row[3];
    for (int j = 0; j < 3; j++) row[j] = NAME(load)(weight + k * wide + j * LANES);
    for (int i = 0; i < pixels; i++)
      for (int j = 0; j < 3; j++) sum[i][j] += features[i * channels + k] * row[j];
  }
  for (int i = 0; i < pixels; i++)
    for (int j = 0; j < 3; j++) NAME(store)(taps + i * wide + j * LANES, sum[i][j]);
}

/* One row of the map: features [w, C] -> taps [w, 9, C]. */
TARGET static void NAME(tap_row)(const struct glpn_head_job *job, const float *features,
                                 float *taps) {
  const size_t channels = job->channels, width = job->width, wide = 9 * channels;
  for (size_t j = 0; j < wide; j += 3 * LANES) {
    size_t x = 0;
    for (; x + TILE <= width; x += TILE)
      NAME(tap_tile)(features + x * channels, job->taps + j, taps + x * wide + j, channels,
                     TILE);
    for (; x < width; x++)
      NAME(tap_tile)(features + x * channels, job->taps + j, taps + x * wide + j, channels,
                     1);
  }
}

/* Down the rows, at one column: taps [9, C] of three rows -> [4, 3, C]. */
INLINE void NAME(column)(const float *const rows[3], size_t channels, const float outer[2],
                         float *out) {
  const size_t third = 3 * channels;
  for (size_t j = 0; j < third; j += LANES) {
    VEC near[3][3], phases[4];
    for (int n = 0; n < 3; n++)
      for (int t = 0; t < 3; t++) near[n][t] = NAME(load)(rows[n] + t * third + j);
    NAME(four_phases)(near[0], near[1], near[2], outer, phases);
    for (int p = 0; p < 4; p++) NAME(store)(out + p * third + j, phases[p]);
  }
}

/* Along the columns, one output row: [3, C] of three columns -> four pixels [4, C] after ReLU. */
INLINE void NAME(pixels)(const float *const columns[3], const float *bias, size_t channels,
                         const float outer[2], float *out) {
  for (size_t c = 0; c < channels; c += LANES) {
    VEC near[3][3], phases[4];
    for (int n = 0; n < 3; n++)
      for (int t = 0; t < 3; t++) near[n][t] = NAME(load)(columns[n] + t * channels + c);
    NAME(four_phases)(near[0], near[1], near[2], outer, phases);
    for (int q = 0; q < 4; q++)
      NAME(store)(out + q * channels + c, NAME(relu)(phases[q] + NAME(load)(bias + c)));
  }
}

/* The last convolution's nine products of four pixels [4, C], nine floats per pixel. A store may
   overlap the next pixel's values, which are written after it. */
INLINE void NAME(dots)(const float *pixels, const float *weight, size_t channels, float *out) {
  VEC sum[4][DOT_VECTORS];
  for (int q = 0; q < 4; q++)
    for (int k = 0; k < DOT_VECTORS; k++) sum[q][k] = (VEC){0};
  for (size_t c = 0; c < channels; c++)
    for (int k = 0; k < DOT_VECTORS; k++) {
      const VEC row = NAME(load)(weight + c * DOT_STRIDE + k * LANES);
      for (int q = 0; q < 4; q++) sum[q][k] += pixels[q * channels + c] * row;
    }
  for (int q = 0; q < 4; q++)
    for (int k = 0; k < DOT_VECTORS; k++) NAME(store)(out + q * 9 + k * LANES, sum[q][k]);
}

/* Output rows [4i + first, 4i + last): all nine products of every pixel. `rows` are the taps of
   rows i-1, i, i+1, edges repeated. */
TARGET static void NAME(products)(const struct glpn_head_job *job, const struct scratch *scratch,
                                  const float *const rows[3], int64_t i, int first, int last) {
  const size_t channels = job->channels, column = 12 * channels;
  const int64_t width = job->width;
  const float outer_rows[2] = {i > 0, i < job->height - 1};
  for (int64_t x = -1; x < width; x++) {
    if (x + 1 < width) {
      const size_t at = (x + 1) * 9 * channels;
      const float *const here[3] = {rows[0] + at, rows[1] + at, rows[2] + at};
      NAME(column)(here, channels, outer_rows, scratch->columns + (x + 1) % 3 * column);
    }
    if (x < 0) continue;
    const float outer[2] = {x > 0, x < width - 1};
    const int64_t near[3] = {x > 0 ? x - 1 : 0, x, x < width - 1 ? x + 1 : x};
    for (int p = first; p < last; p++) {
      const float *columns[3];
      for (int n = 0; n < 3; n++)
        columns[n] = scratch->columns + near[n] % 3 * column + p * 3 * channels;
      NAME(pixels)(columns, job->bias1, channels, outer, scratch->pixels);
      NAME(dots)(scratch->pixels, job->dots, channels,
                 product_row(job, scratch, 4 * i + p) + 36 * x);
    }
  }
}

/* Finish one row: sum the nine products of each pixel, then apply the sigmoid. */
TARGET static void NAME(finish)(const struct glpn_head_job *job, const struct scratch *scratch,
                                int64_t y) {
  const int64_t width = 4 * job->width, height = 4 * job->height;
  float *out = job->out + y * width;
  for (int64_t x = 0; x < width; x++) out[x] = job->bias2;
  for (int64_t t = 0; t < 3; t++) {
    if (y + t < 1 || y + t > height) continue;
    const float *row = product_row(job, scratch, y + t - 1) + 3 * t;
    for (int64_t x = 1; x < width; x++) out[x] += row[9 * (x - 1)];
    for (int64_t x = 0; x < width; x++) out[x] += row[9 * x + 1];
    for (int64_t x = 0; x < width - 1; x++) out[x] += row[9 * (x + 1) + 2];
  }
  for (int64_t x = 0; x < width; x++) out[x] = job->max_depth / (1.f + exponential(-out[x]));
}

#undef VEC
#undef INTS
#undef INLINE
#undef DOT_VECTORS
