// Talks to the service this page came from, and reads its NPZ files.

import { DepthMap } from "./numbers.js";

const MAP_PIXELS = 1_500_000; // of the map that is looked at: 6 MB; downloads have them all
const TRIES = 5; // of a busy service

/** Words for what went wrong, that a person can act on. */
export class Failure extends Error {
  constructor(words, detail = "") {
    super(words);
    this.detail = detail;
  }
}

const WORDS = {
  400: "The service cannot do that.",
  401: "The service asks for a key, or refuses this one. Type it and try again.",
  408: "The picture took too long to arrive. Try again on a better connection.",
  413: "The picture is too large for this service.",
  415: "This is no picture that the service reads. It takes JPEG, PNG and WebP.",
  422: "The picture is damaged or of a kind that cannot be measured.",
  503: "The service is busy. Try again in a moment.",
};

/** What the service says about itself and its model. */
export async function about() {
  return (await reach("v1/about", {})).json();
}

/** {name: 256 colours as hexadecimal}. */
export async function colormaps() {
  return (await reach("v1/colormaps", {})).json();
}

/** The step that keeps a map of this picture small enough to look at. */
export const stepFor = (width, height) => Math.max(1, Math.ceil(Math.sqrt((width * height) / MAP_PIXELS)));

/** Metres of a picture → DepthMap. */
export async function measure(picture, query, step, key) {
  const answer = await predict(picture, { ...query, format: "npz", step }, key);
  const arrays = readNpz(await answer.arrayBuffer());
  const [height, width] = arrays.metres.shape;
  return new DepthMap(arrays.metres.values, width, height, step, JSON.parse(arrays.glpn.values));
}

/** One request for depth; a busy service is asked again. */
export async function predict(picture, query, key) {
  const words = new URLSearchParams(Object.entries(query).flatMap(([name, value]) =>
    [value].flat().map((each) => [name, String(each)])));
  const headers = { "Content-Type": "application/octet-stream" };
  if (key) headers["X-API-Key"] = key;
  return reach(`v1/depth?${words}`, { method: "POST", body: picture, headers });
}

async function reach(path, options) {
  for (let left = TRIES; ; left -= 1) {
    let answer;
    try {
      answer = await fetch(path, options);
    } catch {
      throw new Failure("The service does not answer. Is it still running?");
    }
    if (answer.ok) return answer;
    if (answer.status === 503 && left > 1) {
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    const said = await answer.json().catch(() => ({}));
    throw new Failure(WORDS[answer.status] ?? "The service failed; its log says why.", said.error);
  }
}

/** {name: {shape, values}} of an uncompressed NPZ: floats as Float32Array, text as a string. */
export function readNpz(buffer) {
  const view = new DataView(buffer);
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Failure("The answer was cut off. Try again.");
  const arrays = {};
  let entry = view.getUint32(end + 16, true); // the central directory: APPNOTE.TXT, 4.3.12
  for (let left = view.getUint16(end + 10, true); left > 0; left -= 1) {
    const [name, extra, comment] = [28, 30, 32].map((at) => view.getUint16(entry + at, true));
    const local = view.getUint32(entry + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const file = new TextDecoder().decode(new Uint8Array(buffer, entry + 46, name));
    arrays[file.replace(/\.npy$/, "")] = readNpy(buffer, view, start);
    entry += 46 + name + extra + comment;
  }
  return arrays;
}

function readNpy(buffer, view, start) {
  const length = view.getUint16(start + 8, true);
  const header = new TextDecoder().decode(new Uint8Array(buffer, start + 10, length));
  const kind = /'descr': '([^']+)'/.exec(header)[1];
  const shape = [.../'shape': \(([^)]*)\)/.exec(header)[1].matchAll(/\d+/g)].map(Number);
  const count = shape.reduce((product, side) => product * side, 1);
  const from = start + 10 + length;
  if (kind === "<f4") return { shape, values: new Float32Array(buffer.slice(from, from + 4 * count)) };
  if (kind === "<f8") return { shape, values: new Float64Array(buffer.slice(from, from + 8 * count)) };
  const points = new Uint32Array(buffer.slice(from, from + 4 * Number(kind.slice(2))));
  return { shape, values: Array.from(points, (point) => String.fromCodePoint(point)).join("") };
}
