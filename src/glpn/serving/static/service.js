// Requests to the service behind this page, and a reader of its NPZ files.

import { DepthMap } from "./numbers.js";

const MAP_PIXELS = 1_500_000; // of the displayed map (6 MB); downloads have all pixels
const TRIES = 5; // while the service is busy

/** An error with a message that users can act on. */
export class Failure extends Error {
  constructor(words, detail = "") {
    super(words);
    this.detail = detail;
  }
}

const WORDS = {
  400: "The service cannot do that.",
  401: "The service needs a key, or rejected this one. Enter it and try again.",
  408: "The upload took too long. Try again on a better connection.",
  413: "The photo is too large for this service.",
  415: "Unsupported image format. Send JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF or PPM.",
  422: "The photo is damaged, or is not a single image.",
  503: "The service is busy. Try again in a moment.",
};

/** The service’s description of itself and its model. */
export async function about() {
  return (await reach("v1/about", {})).json();
}

/** {name: 256 colours as hexadecimal}. */
export async function colormaps() {
  return (await reach("v1/colormaps", {})).json();
}

/** The step that keeps the map of this photo small enough to display. */
export const stepFor = (width, height) => Math.max(1, Math.ceil(Math.sqrt((width * height) / MAP_PIXELS)));

/** Photo → DepthMap. */
export async function measure(picture, query, step, key) {
  const answer = await predict(picture, { ...query, format: "npz", step }, key);
  const arrays = readNpz(await answer.arrayBuffer());
  const [height, width] = arrays.metres.shape;
  const facts = JSON.parse(arrays.glpn.values);
  return new DepthMap(arrays.metres.values, width, height, step, facts, arrays.sigma?.values);
}

/** One request for depth, repeated while the service is busy. */
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
    throw new Failure(WORDS[answer.status] ?? "The service failed. See its log.", said.error);
  }
}

/** {name: {shape, values}} of an uncompressed NPZ: floats as Float32Array, text as a string. */
export function readNpz(buffer) {
  const view = new DataView(buffer);
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1;
  if (end < 0) throw new Failure("The response was cut off. Try again.");
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
