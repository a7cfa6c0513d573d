// A photograph → metres, in the browser: depth.onnx is what `glpn export onnx --end-to-end` wrote.
import * as ort from "./ort.wasm.min.mjs";

let session; // the model is fetched once

/** Metres of a photograph: {data: Float32Array, height, width}, row by row. */
export async function metresOf(file) {
  session ??= ort.InferenceSession.create("depth.onnx");
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const pixel = Math.floor(i / 3);
    return rgba[4 * pixel + (i - 3 * pixel)];
  });
  const images = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  const { predicted_depth } = await (await session).run({ images });
  return { data: predicted_depth.data, height, width };
}

// The color map inferno (matplotlib, CC0) at nine places; colors in between are interpolated.
const INFERNO = [
  [0, 0, 4], [33, 12, 74], [87, 16, 110], [138, 35, 106], [188, 55, 84], [227, 89, 50], [249, 141, 10],
  [249, 201, 50], [252, 255, 164],
];

/** Draw metres on a canvas: inferno, near is dark. Returns the nearest and the farthest. */
export function draw({ data, height, width }, canvas) {
  const [near, far] = data.reduce(([a, b], m) => [Math.min(a, m), Math.max(b, m)], [Infinity, 0]);
  Object.assign(canvas, { width, height });
  const picture = new ImageData(width, height);
  data.forEach((metres, i) => {
    const place = ((metres - near) / (far - near || 1)) * (INFERNO.length - 1);
    const below = Math.min(Math.floor(place), INFERNO.length - 2);
    const color = INFERNO[below].map((low, k) => low + (INFERNO[below + 1][k] - low) * (place - below));
    picture.data.set([...color, 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return { near, far };
}
