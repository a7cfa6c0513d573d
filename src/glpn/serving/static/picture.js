// The photo, its depth behind a divider, the reading point and the points A and B.

const SVG = "http://www.w3.org/2000/svg";
const TAP = 6; // CSS pixels that the pointer may move during a click
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const SMALLEST_TEXT = 14; // CSS pixels of a length on its line
const FAR = 20; // pixels per move with Shift
const UNKNOWN = 0xff908070; // slate grey as ABGR, the colour of unknown depth in every picture

/** Shows one DepthMap over its photo; calls `onRead(position)` and `onPick(position)`. */
export class Picture {
  constructor(root, { onRead, onPick, onClear }) {
    const part = (id) => root.querySelector(`#${id}`);
    this.stage = part("stage");
    this.frame = part("frame");
    this.photo = part("photo");
    this.canvas = part("depth");
    this.marks = part("marks");
    this.split = part("split");
    this.callbacks = { onRead, onPick, onClear };
    this.split.addEventListener("input", () => this.divide());
    this.frame.addEventListener("pointermove", (event) => this.read(this.position(event)));
    this.frame.addEventListener("pointerdown", (event) => { this.pressed = [event.clientX, event.clientY]; });
    this.frame.addEventListener("pointerup", (event) => this.release(event));
    this.frame.addEventListener("keydown", (event) => this.key(event));
  }

  /** Show a map; `isSame` keeps the reading point, because the photo is the same as before. */
  show(map, size, isSame) {
    this.map = map;
    this.size = size;
    if (!isSame) this.here = [0, 1].map((axis) => Math.round(map.last[axis] / 2));
    this.stage.style.setProperty("--ratio", `${size[0]} / ${size[1]}`);
    document.body.style.setProperty("--shape", size[0] / size[1]);
    this.marks.setAttribute("viewBox", `-0.5 -0.5 ${size[0]} ${size[1]}`);
    this.divide();
  }

  /** Metres as colours: near takes the table's first colour. */
  paint(table, [near, far]) {
    const { metres, width, height } = this.map;
    const image = new ImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const colours = Uint32Array.from({ length: 256 }, (_, level) => {
      const [red, green, blue] = table.subarray(3 * level, 3 * level + 3);
      return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    });
    const scale = 255 / (far - near);
    for (let k = 0; k < pixels.length; k += 1) {
      const level = Math.max(0, Math.min(255, Math.round((metres[k] - near) * scale)));
      pixels[k] = metres[k] > 0 ? colours[level] : UNKNOWN;
    }
    Object.assign(this.canvas, { width, height });
    this.canvas.getContext("2d").putImageData(image, 0, 0);
  }

  divide() {
    this.stage.style.setProperty("--split", `${this.split.value}%`);
    this.split.setAttribute("aria-valuetext", `photo ${this.split.value} %, depth ${100 - this.split.value} %`);
  }

  /** The pixel of the photo under a pointer, inside the map. */
  position(event) {
    const box = this.frame.getBoundingClientRect();
    const shares = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return shares.map((share, axis) => this.inside(Math.floor(share * this.size[axis]), axis));
  }

  inside(value, axis) {
    return Math.max(0, Math.min(this.map.last[axis], value));
  }

  read(position) {
    this.here = position;
    this.callbacks.onRead(position);
  }

  release(event) {
    if (!this.pressed || event.button !== 0) return;
    const moved = Math.hypot(event.clientX - this.pressed[0], event.clientY - this.pressed[1]);
    this.pressed = null;
    if (moved > TAP) return;
    this.read(this.position(event));
    this.callbacks.onPick(this.here);
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const move = MOVES[event.key];
    if (move) {
      const length = event.shiftKey ? FAR : 1;
      this.read(this.here.map((value, axis) => this.inside(value + length * move[axis], axis)));
    } else if (event.key === "Enter" || event.key === " ") {
      this.read(this.here);
      this.callbacks.onPick(this.here);
    } else if (event.key === "Escape") {
      this.callbacks.onClear();
    } else return;
    event.preventDefault();
  }

  /** Draw the reading point, the points A and B, and lengths {from, to, text} with their text. */
  mark(here, points, lengths) {
    const unit = Math.max(...this.size) / 100;
    const letters = Math.max(2.6 * unit, (SMALLEST_TEXT * this.size[0]) / (this.frame.clientWidth || 1));
    const parts = [];
    for (const { from: [x1, y1], to: [x2, y2], text } of lengths) {
      for (const kind of ["halo", "rule"]) parts.push(shape("line", { x1, y1, x2, y2, class: kind }));
      const [x, y] = [(x1 + x2) / 2, Math.max((y1 + y2) / 2 - unit, letters)];
      const half = 0.3 * letters * text.length;
      const inside = Math.max(half, Math.min(this.size[0] - half, x));
      const label = shape("text", { x: inside, y, "font-size": letters, class: "length" });
      label.textContent = text;
      parts.push(label);
    }
    points.forEach(([cx, cy], k) => {
      parts.push(shape("circle", { cx, cy, r: unit * 1.5, class: k ? "spot b" : "spot a" }));
      const letter = shape("text", { x: cx, y: cy, "font-size": unit * 2.2, class: "letter" });
      letter.textContent = "AB"[k];
      parts.push(letter);
    });
    if (here && !points.some((point) => String(point) === String(here))) {
      const [x, y] = here, arm = unit * 2.2, gap = unit * 0.6;
      const d = `M${x - arm} ${y}h${arm - gap}m${2 * gap} 0h${arm - gap}M${x} ${y - arm}v${arm - gap}m0 ${2 * gap}v${arm - gap}`;
      for (const kind of ["halo", "cross"]) parts.push(shape("path", { d, class: kind }));
    }
    this.marks.replaceChildren(...parts);
  }
}

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
