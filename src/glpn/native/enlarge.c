/* Resizes a map to a larger size: blends four neighbours along each axis with given weights.

   Each old row is widened once and kept while new rows need it; a new row then blends four widened
   rows in one pass. Products and sums run in numpy's order and each is rounded separately, so the
   result is bit-identical on every machine, and to the numpy code without this kernel. */

#include "clones.h"

#include <stddef.h>

enum { TAPS = 4 };

/* Mirrored by glpn.native.enlarge. */
struct glpn_enlarge_job {
  const float *map;             /* [height, width] */
  const int32_t *column_at;     /* [4, new_width], index of the old column */
  const float *column_weight;   /* [4, new_width] */
  const int32_t *row_at;        /* [4, new_height], each at most the next row's */
  const float *row_weight;      /* [4, new_height] */
  float *out;                   /* [new_height, new_width] */
  float *workspace;             /* [4, new_width], old rows widened: row r is at r % 4 */
  int64_t width, new_height, new_width;
  float low, high;              /* limits of the results */
  int32_t clone;
};

EXPORT int32_t glpn_enlarge_clones(void) { return clones_here(); }

__attribute__((always_inline)) static inline void widen_row(const struct glpn_enlarge_job *job,
                                                            int64_t row, float *restrict out) {
  const float *line = job->map + row * job->width;
  const int64_t n = job->new_width;
  const int32_t *at = job->column_at;
  const float *weight = job->column_weight;
  for (int64_t x = 0; x < n; x++) {
    float sum = line[at[x]] * weight[x];
    for (int k = 1; k < TAPS; k++) sum += line[at[k * n + x]] * weight[k * n + x];
    out[x] = sum;
  }
}

__attribute__((always_inline)) static inline void enlarge(const struct glpn_enlarge_job *job) {
  const int64_t n = job->new_width;
  const float low = job->low, high = job->high;
  int64_t widened = job->row_at[0];
  for (int64_t y = 0; y < job->new_height; y++) {
    const float *line[TAPS];
    float weight[TAPS];
    for (int k = 0; k < TAPS; k++) {
      const int64_t row = job->row_at[k * job->new_height + y];
      for (; widened <= row; widened++)
        widen_row(job, widened, job->workspace + widened % TAPS * n);
      line[k] = job->workspace + row % TAPS * n;
      weight[k] = job->row_weight[k * job->new_height + y];
    }
    float *restrict out = job->out + y * n;
    for (int64_t x = 0; x < n; x++) {
      float sum = line[0][x] * weight[0];
      for (int k = 1; k < TAPS; k++) sum += line[k][x] * weight[k];
      sum = sum < low ? low : sum;
      out[x] = sum > high ? high : sum;
    }
  }
}

CLONED(glpn_enlarge, enlarge, struct glpn_enlarge_job)
