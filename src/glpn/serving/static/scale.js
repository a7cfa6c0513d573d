// The bar of colours below the picture, with its ticks in metres.

import { inMetres, ticks } from "./numbers.js";

const UNIT_SPACE = 0.94; // of the scale; the unit stands beyond

/** Draw a colour table (RGB bytes) from `near` to `far` metres. */
export function drawScale(root, table, [near, far]) {
  const part = (id) => root.querySelector(`#${id}`);
  const bar = part("bar").getContext("2d");
  const row = bar.createImageData(256, 1);
  for (let k = 0; k < 256; k += 1) row.data.set([...table.subarray(3 * k, 3 * k + 3), 255], 4 * k);
  bar.putImageData(row, 0, 0);
  const beforeUnit = near + UNIT_SPACE * (far - near);
  const marks = ticks(near, far, 6).filter(({ value }) => value < beforeUnit).map(({ value, text }) => {
    const mark = document.createElement("span");
    mark.textContent = text;
    mark.style.left = `${(100 * (value - near)) / (far - near)}%`;
    return mark;
  });
  const unit = document.createElement("span");
  unit.className = "metre";
  unit.textContent = "m";
  part("ticks").replaceChildren(...marks, unit);
  part("scale").ariaLabel = `Colour scale from ${inMetres(near)} to ${inMetres(far)}`;
}

/** Point at `metres` on the scale; null hides the needle. */
export function moveNeedle(root, metres, [near, far]) {
  const needle = root.querySelector("#needle");
  const share = Math.max(0, Math.min(1, (metres - near) / (far - near)));
  needle.hidden = metres === null;
  needle.style.left = `${100 * share}%`;
}
