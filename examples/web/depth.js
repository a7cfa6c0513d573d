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

/** Draw metres on a canvas: near is bright. Returns the nearest and the farthest. */
export function draw({ data, height, width }, canvas) {
  const [near, far] = data.reduce(([a, b], m) => [Math.min(a, m), Math.max(b, m)], [Infinity, 0]);
  Object.assign(canvas, { width, height });
  const picture = new ImageData(width, height);
  data.forEach((metres, i) => {
    const grey = 255 * (1 - (metres - near) / (far - near || 1));
    picture.data.set([grey, grey, grey, 255], 4 * i);
  });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return { near, far };
}
