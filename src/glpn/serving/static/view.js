// The two views of a photo, picture and 3-D, and their colours.

import { picture } from "./measuring.js";
import { drawScale } from "./scale.js";
import { now, part } from "./state.js";

/** Paint the depth and its scale with the chosen colours. */
export function colour() {
  const table = Uint8Array.from(now.colormaps[part("colormap").value].match(/../g), (pair) => parseInt(pair, 16));
  picture.paint(table, now.shot.range);
  drawScale(document, table, now.shot.range);
}

/** The photo at the size of the depth map, as the texture of the 3-D view. */
export function texture() {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: now.shot.map.width, height: now.shot.map.height });
  canvas.getContext("2d").drawImage(part("photo"), 0, 0, canvas.width, canvas.height);
  return canvas;
}

async function showView(view) {
  part("picture-view").hidden = view !== "picture";
  part("scene-view").hidden = view !== "scene";
  part("colormap-row").hidden = part("scale").hidden = view === "scene";
  if (view !== "scene" || now.scene) return;
  try {
    const { SceneView } = await import("./scene.js");
    now.scene = new SceneView(part("scene"), [part("scene-a"), part("scene-b"), part("scene-length")]);
    now.scene.show(now.shot.map, texture());
    now.scene.mark(now.shot.points, now.shot.points.length === 2 ? part("apart").textContent : "");
    now.scene.lookAround();
  } catch {
    part("scene-alert").textContent = "This browser cannot draw in 3-D because WebGL is unavailable. Download the GLB or PLY file instead.";
    part("scene-alert").hidden = false;
  }
}

part("colormap").addEventListener("change", colour);
for (const radio of document.querySelectorAll("input[name=view]")) {
  radio.addEventListener("change", () => showView(radio.value));
}
for (const button of document.querySelectorAll("[data-turn]")) {
  button.addEventListener("click", () => now.scene?.turn(button.dataset.turn));
}
