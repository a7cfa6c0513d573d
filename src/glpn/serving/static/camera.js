// The camera of a photo, and the texts about the limits of its metres.

import { fieldOfView, inMetres } from "./numbers.js";
import { Failure } from "./service.js";
import { chosen, now, part } from "./state.js";

/** The chosen camera as a query: {}, {fov} or {focal}. */
export function chosenLens() {
  const kind = chosen("lens").value;
  if (kind === "auto") return {};
  const value = part(kind).valueAsNumber;
  const [least, most] = kind === "fov" ? now.about.fov : [Number.MIN_VALUE, 1e6];
  if (!(value >= least && value <= most)) {
    throw new Failure(kind === "fov"
      ? `Enter a field of view from ${least} to ${most} degrees.`
      : "Enter a focal length in pixels, above 0.");
  }
  return { [kind]: value };
}

/** Check one of "auto", "fov" and "focal". */
export function checkLens(kind) {
  document.querySelector(`input[name=lens][value=${kind}]`).checked = true;
}

/** Write what the photo on display says about its camera, its range and its model. */
export function describe() {
  const { map, size: [width, height] } = now.shot;
  const { camera, max_depth: reach, note, model, model_hash: hash, engine, error, error_data: frames } = map.facts;
  const focal = camera.fx * map.step;
  const fov = fieldOfView(focal, width);
  part("lens-now").textContent = `${focal.toFixed(0)} px, ${fov.toFixed(1)}° across; ${camera.source}.`;
  if (chosen("lens").value !== "focal") part("focal").value = focal.toFixed(0);
  if (chosen("lens").value !== "fov") part("fov").value = fov.toFixed(1);
  part("range").textContent = reach === null ? "" : `For this photo the model’s range ends at ${inMetres(reach)}. Anything farther appears nearer.`;
  if (error) part("range").textContent += ` ± ${Math.round(100 * error)} % for two thirds of the pixels${/^assumed/.test(camera.source) ? " if the camera is as assumed" : ""}, measured on ${frames}.`;
  part("note").textContent = `${capital(note)}.`;
  part("note").hidden = !note;
  part("origin").textContent = `${model}, weights ${hash.slice(0, 12)}, on ${engine}; ${width} × ${height} pixels.`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

for (const kind of ["fov", "focal"]) part(kind).addEventListener("input", () => checkLens(kind));
