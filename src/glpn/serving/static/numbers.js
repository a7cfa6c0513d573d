// Metres, pixels and texts; independent of the page. The formulas are those of glpn.depth.Depth.

/** A depth map as the service sent it: every `step`-th pixel of the picture. */
export class DepthMap {
  /**
   * @param {Float32Array} metres row by row; 0 is unknown
   * @param {number} width @param {number} height of the map
   * @param {number} step picture pixels per map pixel
   * @param {object} facts of the file: camera (in map pixels), model, max_depth, …
   * @param {Float32Array=} sigma one standard deviation in metres, where the service computed it;
   *   elsewhere it follows from facts.error, the relative error on measured frames, if known
   */
  constructor(metres, width, height, step, facts, sigma) {
    Object.assign(this, { metres, width, height, step, facts, sigma, camera: facts.camera });
  }

  /** The last position of the picture that has a depth, in picture pixels. */
  get last() {
    return [(this.width - 1) * this.step, (this.height - 1) * this.step];
  }

  /** Metres at a picture position, bilinear; null where unknown. */
  at([px, py]) {
    const x = px / this.step, y = py / this.step;
    const left = Math.floor(x), top = Math.floor(y);
    const right = Math.min(left + 1, this.width - 1), bottom = Math.min(top + 1, this.height - 1);
    const across = x - left, down = y - top;
    let sum = 0;
    for (const [column, row, weight] of [
      [left, top, (1 - down) * (1 - across)], [right, top, (1 - down) * across],
      [left, bottom, down * (1 - across)], [right, bottom, down * across],
    ]) {
      if (weight === 0) continue;
      const value = this.metres[row * this.width + column];
      if (!(value > 0)) return null;
      sum += weight * value;
    }
    return sum;
  }

  /** One standard deviation in metres at a picture position; null where unknown. */
  sigmaAt(position) {
    const metres = this.at(position), error = this.facts.error ?? null;
    if (metres === null || (!this.sigma && error === null)) return null;
    if (!this.sigma) return error * metres;
    const [column, row] = position.map((value) => Math.round(value / this.step));
    return this.sigma[row * this.width + column];
  }

  /** [X, Y, Z] in metres of a picture position: X right, Y down, Z forward. */
  point(position) {
    const z = this.at(position);
    if (z === null) return null;
    const { fx, fy, cx, cy } = this.camera;
    const [x, y] = position.map((value) => value / this.step);
    return [((x - cx) / fx) * z, ((y - cy) / fy) * z, z];
  }

  /** Metres from the camera to a position, per metre of its depth along the optical axis. */
  slant(position) {
    const { fx, fy, cx, cy } = this.camera;
    const [x, y] = position.map((value) => value / this.step);
    return Math.hypot((x - cx) / fx, (y - cy) / fy, 1);
  }

  /** Straight-line metres between two picture positions. */
  between(start, end) {
    const a = this.point(start), b = this.point(end);
    return a && b ? Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) : null;
  }

  /** [near, far] in metres: 2nd and 98th percentile of what is known, as in the colour picture. */
  range() {
    const known = this.metres.filter((value) => value > 0).sort();
    const [near, far] = known.length ? [percentile(known, 0.02), percentile(known, 0.98)] : [0, 1];
    return far - near < 1e-6 ? [near, near + 1] : [near, far];
  }
}

function percentile(sorted, share) {
  const place = share * (sorted.length - 1), below = Math.floor(place);
  const above = sorted[Math.min(below + 1, sorted.length - 1)];
  return sorted[below] + (above - sorted[below]) * (place - below);
}

/** "2.41 m" or "2.41 ± 0.08 m": one photo does not give more than centimetres. */
export const inMetres = (value, sigma = null) => {
  if (value === null) return "unknown";
  const doubt = sigma === null ? "" : `\u00a0± ${sigma.toFixed(2)}`;
  return `${value.toFixed(2)}${doubt}\u00a0m`;
};

/** Round values from `near` to `far`, about `count` of them. */
export function ticks(near, far, count) {
  const rough = (far - near) / count;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 5, 10].find((factor) => factor * unit >= rough) * unit;
  const digits = Math.max(0, -Math.floor(Math.log10(size) + 1e-9));
  const values = [];
  for (let k = Math.ceil(near / size); k * size <= far; k += 1) {
    values.push({ value: k * size, text: (k * size).toFixed(digits) });
  }
  return values;
}

/** Horizontal field of view in degrees of a focal length over a width, both in pixels. */
export const fieldOfView = (focal, width) => (2 * Math.atan(width / 2 / focal) * 180) / Math.PI;
