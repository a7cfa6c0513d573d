// The photos of this visit, each with its map, its points, its tape measures and the lengths kept.

import { inMetres } from "./numbers.js";
import { refill } from "./state.js";

export const MAX_PHOTOS = 12; // a map takes 6 MB
const THUMB = 168; // pixels, the width of a photo in the gallery

/** One photo and everything measured in it; positions are pixels of the photo. */
export class Shot {
  constructor(file) {
    this.file = file;
    this.name = (file.name || "photo").replace(/\.[^.]*$/, "");
    this.lens = {}; // query of its camera: {}, {fov} or {focal}
    this.points = []; // A, B
    this.kept = []; // pairs of points
    this.tape = []; // {points, metres}: with one point, the distance from the camera
  }

  /** What the service returned, and the photo as the page shows it. */
  show(map, image) {
    this.map = map;
    this.range = map.range();
    this.size = [image.naturalWidth, image.naturalHeight];
    if (this.thumb) return;
    this.thumb = document.createElement("canvas");
    const height = Math.round((THUMB * this.size[1]) / this.size[0]);
    Object.assign(this.thumb, { width: THUMB, height });
    this.thumb.getContext("2d").drawImage(image, 0, 0, THUMB, height);
  }

  /** The camera and the tape measures as the query of the service; `map` has the camera's rays. */
  query(map = this.map) {
    const known = [], ref = [];
    for (const { points, metres } of this.tape) {
      if (points.length === 2) known.push([...points.flat(), metres].join());
      else ref.push([...points[0], metres / map.slant(points[0])].join());
    }
    return { ...this.lens, known, ref };
  }

  /** {from, to, text} of the kept lengths and, last, of the current one. */
  lengths() {
    const pairs = this.points.length === 2 ? [...this.kept, this.points] : this.kept;
    return pairs.map((pair) => ({ from: pair[0], to: pair[1], text: this.lengthOf(pair) }));
  }

  /** "2.41 m" or "2.41 ± 0.60 m": an error of the metres stretches a length as a whole. */
  lengthOf([from, to]) {
    const metres = this.map.between(from, to), error = this.map.facts.error ?? null;
    return inMetres(metres, metres === null || error === null ? null : metres * error);
  }
}

/** Fill the gallery: one item per photo; calls `onOpen(shot)`, `onDrop(shot)`, `onForget(shot, index)`. */
export function fillGallery(list, shots, current, { onOpen, onDrop, onForget }) {
  refill(list, shots.map((shot) => {
    const item = document.createElement("li");
    const open = pressable("", () => onOpen(shot), `Open ${shot.name}`);
    open.className = "thumb";
    open.setAttribute("aria-pressed", String(shot === current));
    open.append(shot.thumb, caption(shot));
    const lengths = document.createElement("ol");
    lengths.append(...shot.kept.map((pair, k) => {
      const line = document.createElement("li");
      line.append(shot.lengthOf(pair), " ", pressable("×", () => onForget(shot, k), `Forget length ${k + 1}`));
      return line;
    }));
    item.append(open, lengths, pressable("Remove", () => onDrop(shot), `Remove ${shot.name}`));
    return item;
  }));
}

function caption(shot) {
  const words = document.createElement("span");
  words.textContent = shot.name;
  return words;
}

/** A quiet button. */
export function pressable(text, action, label) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "quiet small-button", textContent: text, ariaLabel: label });
  button.addEventListener("click", action);
  return button;
}
