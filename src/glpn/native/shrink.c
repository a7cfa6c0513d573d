/* Resizes a photo to the network's input and maps its levels to the network's values.

   The filter is Pillow's bilinear one (Resample.c): it weights levels along rows, rounds to 8 bits,
   weights along columns and rounds again. The weights are integers, so the result is bit-identical
   to Pillow's on every machine. Pillow makes three passes over memory; this kernel works row by
   row, keeps only the rows that a new row blends, and maps each finished row through the table.
   The weights are not negative and sum to 1 up to rounding, half a unit each. With 16,000 weights
   the error is less than half a level, so no result needs a clamp. */

#include "clones.h"

#include <stddef.h>
#include <string.h>

enum { BITS = 22, HALF = 1 << (BITS - 1), LEVELS = 256, CHANNELS = 3 };

enum { TOGETHER = 8 }; /* rows narrowed at once, one per vector lane */

typedef int32_t lanes __attribute__((vector_size(4 * TOGETHER)));

/* Mirrored by glpn.native.shrink. The weights of new pixel i start at WEIGHT[i * TAPS] and belong
   to the COUNT[i] old ones from FIRST[i] on, which is never below FIRST[i - 1]. */
struct glpn_shrink_job {
  const uint8_t *image;         /* [height, width, 3] */
  const int32_t *column_first;  /* [new_width] */
  const int32_t *column_count;
  const int32_t *column_weight; /* [new_width, column_taps], of 2^22 */
  const int32_t *row_first;     /* [new_height] */
  const int32_t *row_count;
  const int32_t *row_weight;    /* [new_height, row_taps] */
  const float *values;          /* [3, 256], the value of each level */
  float *out;                   /* [3, new_height, new_width] */
  uint8_t *workspace;           /* see glpn_shrink_workspace */
  int64_t height, width, new_height, new_width, column_taps, row_taps;
  int32_t clone;
};

/* Bytes of a row of new width, padded because each pixel is written as four bytes. */
static int64_t stride(int64_t new_width) { return (CHANNELS * new_width + 1 + 63) / 64 * 64; }

EXPORT int32_t glpn_shrink_clones(void) { return clones_here(); }

/* Rows of new width to keep: those that a new row blends, and those made with the last of them. */
static int64_t kept(int64_t row_taps) { return row_taps + TOGETHER - 1; }

/* Size in bytes of the kept rows and the blended row. */
EXPORT int64_t glpn_shrink_workspace(int64_t new_width, int64_t row_taps) {
  return (kept(row_taps) + 1) * stride(new_width);
}

/* A pixel with red in the lowest byte; also contains the next byte, except in the `last` row. */
__attribute__((always_inline)) static inline int32_t pixel_at(const uint8_t *at, int last) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if (!last) {
    int32_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
  }
#endif
  return at[0] | at[1] << 8 | at[2] << 16;
}

/* `count` old rows, at most TOGETHER, from `row` on at the new width, into their places. */
__attribute__((always_inline)) static inline void narrow(const struct glpn_shrink_job *job,
                                                         int64_t row, int count, int last) {
  const uint8_t *line[TOGETHER];
  uint8_t *out[TOGETHER];
  for (int i = 0; i < TOGETHER; i++) {
    const int64_t used = row + (i < count ? i : 0);
    line[i] = job->image + used * CHANNELS * job->width;
    out[i] = job->workspace + used % kept(job->row_taps) * stride(job->new_width);
  }
  for (int64_t x = 0; x < job->new_width; x++) {
    const int64_t first = CHANNELS * (int64_t)job->column_first[x];
    const int32_t *weight = job->column_weight + x * job->column_taps;
    lanes red = {0}, green = {0}, blue = {0};
    for (int32_t k = 0; k < job->column_count[x]; k++) {
      const int64_t at = first + CHANNELS * k;
      const lanes pixel = {
          pixel_at(line[0] + at, last), pixel_at(line[1] + at, last), pixel_at(line[2] + at, last),
          pixel_at(line[3] + at, last), pixel_at(line[4] + at, last), pixel_at(line[5] + at, last),
          pixel_at(line[6] + at, last), pixel_at(line[7] + at, last)};
      red += (pixel & 255) * weight[k];
      green += (pixel >> 8 & 255) * weight[k];
      blue += (pixel >> 16 & 255) * weight[k];
    }
    red = (red + HALF) >> BITS;
    green = (green + HALF) >> BITS;
    blue = (blue + HALF) >> BITS;
    const lanes pixel = red | green << 8 | blue << 16;
    for (int i = 0; i < TOGETHER; i++) {
      out[i][CHANNELS * x] = (uint8_t)pixel[i];
      out[i][CHANNELS * x + 1] = (uint8_t)(pixel[i] >> 8);
      out[i][CHANNELS * x + 2] = (uint8_t)(pixel[i] >> 16);
    }
  }
}

/* Blend `count` narrowed rows, starting at `first`, into one. */
__attribute__((always_inline)) static inline void blend(const struct glpn_shrink_job *job,
                                                        int64_t first, int32_t count,
                                                        const int32_t *weight,
                                                        uint8_t *restrict out) {
  enum { BLOCK = 64 };
  const int64_t bytes = stride(job->new_width), rows = kept(job->row_taps);
  for (int64_t start = 0; start < bytes; start += BLOCK) {
    int32_t sum[BLOCK];
    int64_t place = first % rows;
    for (int i = 0; i < BLOCK; i++) sum[i] = HALF;
    for (int32_t k = 0; k < count; k++) {
      const uint8_t *line = job->workspace + place * bytes + start;
      for (int i = 0; i < BLOCK; i++) sum[i] += line[i] * weight[k];
      place = place + 1 < rows ? place + 1 : 0;
    }
    for (int i = 0; i < BLOCK; i++) out[start + i] = (uint8_t)(sum[i] >> BITS);
  }
}

__attribute__((always_inline)) static inline void shrink(const struct glpn_shrink_job *job) {
  const int64_t n = job->new_width;
  uint8_t *blended = job->workspace + kept(job->row_taps) * stride(n);
  int64_t narrowed = job->row_first[0];
  for (int64_t y = 0; y < job->new_height; y++) {
    const int64_t first = job->row_first[y];
    const int32_t count = job->row_count[y];
    if (narrowed < first) narrowed = first;
    while (narrowed < first + count) {
      const int64_t left = job->height - 1 - narrowed; /* before the last row */
      const int some = left < TOGETHER ? (int)left : TOGETHER;
      if (some)
        narrow(job, narrowed, some, 0);
      else
        narrow(job, narrowed, 1, 1);
      narrowed += some ? some : 1;
    }
    blend(job, first, count, job->row_weight + y * job->row_taps, blended);
    for (int c = 0; c < CHANNELS; c++) {
      const float *values = job->values + LEVELS * c;
      float *restrict out = job->out + (c * job->new_height + y) * n;
      for (int64_t x = 0; x < n; x++) out[x] = values[blended[CHANNELS * x + c]];
    }
  }
}

CLONED(glpn_shrink, shrink, struct glpn_shrink_job)
