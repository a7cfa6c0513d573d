/* Rays against solids, as cast.py describes it: the nearest solid along each ray of a picture, by
   tiles, and the nearest of a few candidates. The arithmetic is that of cast.py, step by step.

   Calls nothing, allocates nothing, has no state: Python passes the memory and runs pictures in as
   many threads as it likes. A ray's result depends on its own tile alone. */

#include <math.h>
#include <stdint.h>

#include "../../native/clones.h"

#define ALWAYS static inline __attribute__((always_inline))
#define TILE 8 /* of cast.py */
#define RAYS (TILE * TILE)
#define ROW 15  /* floats of a solid's test: slope 3x3, origin, quadric */
#define BOX 12  /* floats of a box in camera axes: centre, three arms */

/* One picture; mirrored by `_Picture` in compiled.py. */
struct glpn_picture {
  const float *x, *y;       /* [height, width] */
  const float *rows;        /* [solids, ROW] */
  const float *boxes;       /* [solids, BOX] */
  const float *near;        /* [solids] least depths, ascending; infinite: not to be tested */
  const int64_t *order;     /* [solids] which solid each of `near` is */
  float *depth;             /* [height, width] */
  int32_t *solid;           /* [height, width] */
  uint8_t *across;          /* workspace [width / TILE, solids] */
  int32_t *listed;          /* workspace [solids] */
  int64_t height, width, solids;
  float nearest;            /* nothing nearer is seen */
  int32_t clone;
};

/* Rays with a few candidates each; mirrored by `_Rays`. */
struct glpn_rays {
  const float *x, *y;          /* [rays] */
  const float *rows;           /* [solids, ROW] */
  const int32_t *candidates;   /* [choices, rays], negative: none */
  float *depth;                /* [rays] */
  int32_t *solid;              /* [rays] */
  int64_t rays, choices;
  float nearest;
};

ALWAYS float least(float a, float b) { return a < b ? a : b; }
ALWAYS float most(float a, float b) { return a > b ? a : b; }

/* Depths between which a ray is in a solid; the entry lies behind the exit where it misses. */
ALWAYS void interval(const float *row, int curved, float x, float y, float *near, float *far) {
  float slope[3], entry = -INFINITY, exit = INFINITY;
  for (int i = 0; i < 3; i++) {
    slope[i] = row[3 * i + 2] + row[3 * i] * x + row[3 * i + 1] * y;
    const float inverse = 1.f / slope[i];
    const float middle = inverse * -row[9 + i], width = __builtin_fabsf(inverse);
    entry = most(middle - width, entry);
    exit = least(middle + width, exit);
  }
  if (curved) {
    const float *origin = row + 9, *quadric = row + 12;
    float square = 1e-12f, product = 0, outside = -1;
    for (int i = 0; i < 3; i++) {
      const float weighted = quadric[i] * slope[i];
      square += weighted * slope[i];
      product += origin[i] * weighted;
    }
    const float inverse = 1.f / square, closest = -product * inverse;
    for (int i = 0; i < 3; i++) {
      const float point = origin[i] + closest * slope[i];
      outside += quadric[i] * point * point;
    }
    const float reach = __builtin_sqrtf(most(-outside * inverse, 0.f));
    entry = most(outside > 0.f ? INFINITY : closest - reach, entry);
    exit = least(closest + reach, exit);
  }
  *near = entry;
  *far = exit;
}

/* Bring a tile's rays [RAYS] up to date with one solid. */
ALWAYS void meet(const float *row, int curved, int32_t solid, float nearest, const float *x,
                 const float *y, float *depth, int32_t *hit) {
  for (int i = 0; i < RAYS; i++) {
    float near, far;
    interval(row, curved, x[i], y[i], &near, &far);
    const int closer = (near < far) & (near < depth[i]) & (near > nearest);
    depth[i] = closer ? near : depth[i];
    hit[i] = closer ? solid : hit[i];
  }
}

/* Whether any ray of a tile might still see something at that depth. */
ALWAYS int open_at(const float *depth, float near) {
  int any = 0;
  for (int i = 0; i < RAYS; i++) any |= depth[i] > near;
  return any;
}

/* Whether a box reaches between the planes c = low z and c = high z; c is x or y. */
ALWAYS int between(const float *box, int axis, float low, float high) {
  float above = box[axis] - low * box[2], below = high * box[2] - box[axis];
  for (int arm = 3; arm < BOX; arm += 3) {
    above += __builtin_fabsf(box[arm + axis] - low * box[arm + 2]);
    below += __builtin_fabsf(box[arm + axis] - high * box[arm + 2]);
  }
  return (above >= 0) & (below >= 0);
}

/* Least and greatest value of a block of a picture. */
ALWAYS void range(const float *block, int64_t rows, int64_t columns, int64_t stride, float *low,
                  float *high) {
  *low = INFINITY;
  *high = -INFINITY;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) {
      *low = least(block[r * stride + c], *low);
      *high = most(block[r * stride + c], *high);
    }
}

/* The tile at a picture's row and column: boxes first, then what is curved, each front to back. */
ALWAYS void tile(const struct glpn_picture *p, int64_t row, int64_t column, int64_t listed) {
  float x[RAYS], y[RAYS], depth[RAYS];
  int32_t hit[RAYS];
  const int64_t first = row * p->width + column;
  const uint8_t *across = p->across + column / TILE * p->solids;
  for (int i = 0; i < RAYS; i++) {
    const int64_t at = first + i / TILE * p->width + i % TILE;
    x[i] = p->x[at], y[i] = p->y[at];
    depth[i] = INFINITY, hit[i] = -1;
  }
  for (int curved = 0; curved < 2; curved++)
    for (int64_t k = 0; k < listed; k++) {
      const int32_t rank = p->listed[k];
      if (!across[rank]) continue;
      const int32_t solid = (int32_t)p->order[rank];
      const float *test = p->rows + ROW * solid;
      if (curved != (test[12] != 0 || test[13] != 0 || test[14] != 0)) continue;
      if (!open_at(depth, p->near[rank])) break;
      if (curved)
        meet(test, 1, solid, p->nearest, x, y, depth, hit);
      else
        meet(test, 0, solid, p->nearest, x, y, depth, hit);
    }
  for (int i = 0; i < RAYS; i++) {
    const int64_t at = first + i / TILE * p->width + i % TILE;
    p->depth[at] = depth[i], p->solid[at] = hit[i];
  }
}

ALWAYS void picture(const struct glpn_picture *p) {
  int64_t wanted = 0;
  float low, high;
  while (wanted < p->solids && p->near[wanted] < INFINITY) wanted++;
  for (int64_t column = 0; column < p->width; column += TILE) {
    range(p->x + column, p->height, TILE, p->width, &low, &high);
    uint8_t *across = p->across + column / TILE * p->solids;
    for (int64_t rank = 0; rank < wanted; rank++)
      across[rank] = (uint8_t)between(p->boxes + BOX * p->order[rank], 0, low, high);
  }
  for (int64_t row = 0; row < p->height; row += TILE) {
    int64_t listed = 0;
    range(p->y + row * p->width, TILE, p->width, p->width, &low, &high);
    for (int64_t rank = 0; rank < wanted; rank++)
      if (between(p->boxes + BOX * p->order[rank], 1, low, high))
        p->listed[listed++] = (int32_t)rank;
    for (int64_t column = 0; column < p->width; column += TILE) tile(p, row, column, listed);
  }
}

EXPORT int32_t glpn_rays_clones(void) { return clones_here(); }

CLONED(glpn_rays_picture, picture, struct glpn_picture)

EXPORT void glpn_rays_nearest(const struct glpn_rays *r) {
  for (int64_t i = 0; i < r->rays; i++) {
    float depth = INFINITY;
    int32_t hit = -1;
    for (int64_t choice = 0; choice < r->choices; choice++) {
      const int32_t solid = r->candidates[choice * r->rays + i];
      if (solid < 0 || solid == hit) continue;
      const float *test = r->rows + ROW * solid;
      float near, far;
      if (test[12] != 0 || test[13] != 0 || test[14] != 0)
        interval(test, 1, r->x[i], r->y[i], &near, &far);
      else
        interval(test, 0, r->x[i], r->y[i], &near, &far);
      if (near < far && near < depth && near > r->nearest) {
        depth = near;
        hit = solid;
      }
    }
    r->depth[i] = depth, r->solid[i] = hit;
  }
}
