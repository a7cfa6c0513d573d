/* Metres as the filtered rows of a 16-bit grey PNG, in one pass.

   Each row of bytes is the filter's number and, for each pixel, its units less those of the pixel
   above, high byte first and each byte by itself (PNG 3rd edition, section 9.2, filter "up"). Units
   are metres × scale in double precision, rounded to even, as numpy's rint does it. */

#include "clones.h"

enum { UP = 2 };

#define WHOLE 0x1.8p52 /* a double plus this has no room for a fraction: the sum is rounded */

/* Mirrored by glpn.native.grey16. */
struct glpn_grey16_job {
  const float *metres; /* [height, width], at least 0 and below 65535.5 / scale */
  uint8_t *out;        /* [height, 1 + 2 * width] */
  uint16_t *rows;      /* [2, width], zeros: units of a row and of the one above */
  int64_t height, width;
  double scale;        /* units per metre */
  int32_t least;       /* units of what is more than 0 metres */
  int32_t clone;
};

EXPORT int32_t glpn_grey16_clones(void) { return clones_here(); }

/* The high byte is the first in memory whatever the machine's order of bytes is. */
static inline uint16_t high_byte_first(uint16_t units) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return (uint16_t)(units << 8 | units >> 8);
#else
  return units;
#endif
}

__attribute__((always_inline)) static inline void grey16(const struct glpn_grey16_job *job) {
  const int64_t width = job->width;
  const double scale = job->scale;
  const int32_t least = job->least;
  for (int64_t y = 0; y < job->height; y++) {
    const float *restrict metres = job->metres + y * width;
    uint16_t *restrict row = job->rows + y % 2 * width;
    for (int64_t x = 0; x < width; x++) {
      const int32_t units = (int32_t)(((double)metres[x] * scale + WHOLE) - WHOLE);
      const int32_t lowest = metres[x] > 0 ? least : 0;
      row[x] = high_byte_first((uint16_t)(units < lowest ? lowest : units));
    }
    const uint8_t *restrict here = (const uint8_t *)row;
    const uint8_t *restrict above = (const uint8_t *)(job->rows + (y + 1) % 2 * width);
    uint8_t *restrict out = job->out + y * (1 + 2 * width);
    *out++ = UP;
    for (int64_t i = 0; i < 2 * width; i++) out[i] = (uint8_t)(here[i] - above[i]);
  }
}

CLONED(glpn_grey16, grey16, struct glpn_grey16_job)
