/* Surfaces at the pixels of a picture: the geometry and the material of what each ray hit.

   The formulas of surface.py, sixteen pixels at a time, so that nothing between the solids' table
   and the finished maps is ever stored. Calls nothing, allocates nothing, has no state. */

#include <stdint.h>

#include "../../native/clones.h"

#define ALWAYS static inline __attribute__((always_inline))
#define LANES 16
#define ROWS 46       /* of the table: `_ROWS` of surface.py, in their order */
#define SIDE 128      /* texels of a texture, of patterns.py */
#define BEFORE .999999f
#define MAPS 12       /* normal 3, shading 3, colour 3, specular, gloss, emission */

enum { ORIGIN = 0, SLOPE = 3, HALF = 12, AXES = 15, QUADRIC = 24, BEVEL = 27, SHIFT = 28 };
enum { TEXTURE = 31, SCALE, DARK, LIGHT = 36, RELIEF = 39, RELIEF_SCALE, BUMP, SPECULAR };
enum { UPRIGHT = 45 };

/* Mirrored by `_Surface` in compiled.py. */
struct glpn_surface {
  const float *table;      /* [solids, ROWS] */
  const int64_t *row;      /* [pixels] */
  const float *x, *y, *depth, *footprint;
  const float *bank, *relief; /* [3, texels] */
  const int32_t *offsets;  /* of a pyramid's levels, its length at the end: [9] */
  float *maps;             /* [MAPS, pixels] */
  int32_t *face;           /* [pixels] */
  int64_t pixels, bank_texels, relief_texels;
  int32_t clone;
};

ALWAYS float most(float a, float b) { return a > b ? a : b; }
ALWAYS float least(float a, float b) { return a < b ? a : b; }
/* Both sides are computed: a branch would keep the loop over pixels from becoming vectors. */
ALWAYS float either(int first, float a, float b) { return first ? a : b; }
ALWAYS float size(float a) { return __builtin_fabsf(a); }
ALWAYS float sign(float a) { return (float)((a > 0.f) - (a < 0.f)); }
ALWAYS float mix(float a, float b, float share) { return a + share * (b - a); }
ALWAYS float inverse_length(const float v[3]) {
  return 1.f / __builtin_sqrtf(most(v[0] * v[0] + v[1] * v[1] + v[2] * v[2], 1e-12f));
}

/* A whole number below or at x. */
ALWAYS int32_t below(float x) {
  const int32_t whole = (int32_t)x;
  return whole - (x < (float)whole);
}

/* Bilinear from the mip level whose texels are as large as the pixel. */
ALWAYS void sample(const float *table, int32_t texels, const int32_t *offsets, float u, float v,
                   int32_t first, float footprint, float out[3]) {
  const float wide = footprint * SIDE;
  int32_t level = 0;
  for (int k = 0; k < 7; k++) level += wide > 1.41421356f * (float)(1 << k);
  const int32_t side = SIDE >> level, wrap = side - 1;
  const float x = (u - (float)(int32_t)u) * (float)side - .5f;
  const float y = (v - (float)(int32_t)v) * (float)side - .5f;
  const int32_t left = below(x), top = below(y);
  const float across = x - (float)left, down = y - (float)top;
  first += offsets[level];
  const int32_t upper = first + (top & wrap) * side, lower = first + ((top + 1) & wrap) * side;
  const int32_t a = upper + (left & wrap), b = upper + ((left + 1) & wrap);
  const int32_t c = lower + (left & wrap), d = lower + ((left + 1) & wrap);
  for (int i = 0; i < 3; i++) {
    const float *plane = table + (int64_t)i * texels;
    out[i] = mix(mix(plane[a], plane[b], across), mix(plane[c], plane[d], across), down);
  }
}

/* From a solid's axes to the world's, at unit length. */
ALWAYS void turn(const float (*of)[LANES], int lane, const float v[3], float *out, int64_t stride) {
  float world[3];
  for (int j = 0; j < 3; j++)
    world[j] = v[0] * of[AXES + j][lane] + v[1] * of[AXES + 3 + j][lane] +
               v[2] * of[AXES + 6 + j][lane];
  const float inverse = inverse_length(world);
  for (int j = 0; j < 3; j++) out[j * stride] = world[j] * inverse;
}

struct pixels {
  float of[ROWS][LANES]; /* the table's rows */
  float x[LANES], y[LANES], depth[LANES], footprint[LANES];
  float maps[MAPS][LANES];
  int32_t face[LANES];
};

ALWAYS void shade(const struct glpn_surface *s, struct pixels *p, int i) {
  const float(*of)[LANES] = (const float(*)[LANES])p->of;
  const int32_t bank_texels = (int32_t)s->bank_texels, relief_texels = (int32_t)s->relief_texels;
  float direction[3], point[3], entry[3], gradient[3], half[3], metres[3];
  for (int k = 0; k < 3; k++) {
    const float origin = of[ORIGIN + k][i];
    half[k] = of[HALF + k][i];
    direction[k] = of[SLOPE + 3 * k + 2][i] + of[SLOPE + 3 * k][i] * p->x[i] +
                   of[SLOPE + 3 * k + 1][i] * p->y[i];
    point[k] = origin + direction[k] * p->depth[i];
    entry[k] = -((sign(direction[k]) + origin) / direction[k]);
    metres[k] = point[k] * half[k];
    gradient[k] = of[QUADRIC + k][i] * point[k] / half[k];
  }

  /* Which face was hit: a box on the last of its planes that the ray enters, a quadric after. */
  const int round = (gradient[0] != 0) | (gradient[1] != 0) | (gradient[2] != 0);
  const int late = most(most(entry[0], entry[1]), entry[2]) < p->depth[i] * BEFORE;
  const int curved = round & late;
  float rank[3], normal[3], bent[3];
  for (int k = 0; k < 3; k++) rank[k] = either(curved, size(gradient[k]), entry[k]);
  const int is_x = (rank[0] >= rank[1]) & (rank[0] >= rank[2]);
  const int is_z = (rank[2] > rank[1]) & (1 - is_x);
  const int is[3] = {is_x, 1 - is_x - is_z, is_z};
  const float inverse = inverse_length(gradient);
  const float bevel = either(curved, 1e-9f, most(of[BEVEL][i], 1e-9f));
  float along = 0, square = 0;
  for (int k = 0; k < 3; k++) {
    const float flat = either(is[k], -sign(direction[k]), 0.f), ray = direction[k] * half[k];
    normal[k] = either(curved, gradient[k] * inverse, flat);
    const float bend = least(most(1 - (half[k] - size(metres[k])) / bevel, 0.f), 1.f);
    bent[k] = normal[k] + .7f * bend * sign(metres[k]);
    along += ray * normal[k];
    square += ray * ray;
  }
  const float footprint = p->footprint[i] / most(size(along) / __builtin_sqrtf(square), .12f);

  /* Texture coordinates along the face's longer side, or over all of it. */
  const int fit = of[SCALE][i] <= 0, fixed = fit | (of[UPRIGHT][i] > 0);
  const float first_h = either(is_x, half[1], half[0]), second_h = either(is_z, half[1], half[2]);
  const float first_p = either(is_x, point[1], point[0]), second_p = either(is_z, point[1], point[2]);
  for (int k = 0; k < 3; k++) metres[k] += of[SHIFT + k][i];
  const float first_m = either(is_x, metres[1], metres[0]), second_m = either(is_z, metres[1], metres[2]);
  const int swap = (second_h > first_h) & (1 - fixed);
  const float scale = most(of[SCALE][i], 1e-6f);
  const float u = either(fit, .5f + .4999f * first_p, either(swap, second_m, first_m) / scale);
  const float v = either(fit, .5f - .4999f * second_p, either(swap, first_m, -second_m) / scale);
  const float extent = either(fit, 2 * most(first_h, second_h), scale);

  /* Colour, and the relief that shades it and tilts the normal. */
  float pattern[3], relief[3];
  const float relief_scale = of[RELIEF_SCALE][i], ratio = extent / relief_scale;
  sample(s->bank, bank_texels, s->offsets, u, v, (int32_t)of[TEXTURE][i] * relief_texels,
         footprint / extent, pattern);
  sample(s->relief, relief_texels, s->offsets, u * ratio, v * ratio, 0, footprint / relief_scale,
         relief);
  const float strength = most(1 + of[RELIEF][i] * relief[0], .2f);
  const float first = of[BUMP][i] * either(swap, relief[2], relief[1]);
  const float second = of[BUMP][i] * either(swap, relief[1], relief[2]);
  bent[0] -= either(is_x, 0, first);
  bent[1] -= either(is_x, first, either(is_z, second, 0));
  bent[2] -= either(is_z, 0, second);

  turn(of, i, normal, &p->maps[0][i], LANES);
  turn(of, i, bent, &p->maps[3][i], LANES);
  for (int k = 0; k < 3; k++) {
    p->maps[6 + k][i] = mix(of[DARK + k][i], of[LIGHT + k][i], pattern[k]) * strength;
    p->maps[9 + k][i] = of[SPECULAR + k][i];
  }
  p->face[i] = 3 * curved + (1 - curved) * (is_x + 2 * is_z);
}

ALWAYS void surface(const struct glpn_surface *s) {
  struct pixels p;
  for (int64_t start = 0; start < s->pixels; start += LANES) {
    const int64_t left = s->pixels - start;
    const int lanes = left < LANES ? (int)left : LANES;
    for (int i = 0; i < LANES; i++) {
      const int64_t at = start + (i < lanes ? i : 0);
      const float *row = s->table + ROWS * s->row[at];
      for (int k = 0; k < ROWS; k++) p.of[k][i] = row[k];
      p.x[i] = s->x[at], p.y[i] = s->y[at];
      p.depth[i] = s->depth[at], p.footprint[i] = s->footprint[at];
    }
    for (int i = 0; i < LANES; i++) shade(s, &p, i);
    for (int k = 0; k < MAPS; k++)
      for (int i = 0; i < lanes; i++) s->maps[k * s->pixels + start + i] = p.maps[k][i];
    for (int i = 0; i < lanes; i++) s->face[start + i] = p.face[i];
  }
}

CLONED(glpn_surface, surface, struct glpn_surface)
