// A report to keep or print: one HTML file with each photo, its lengths and what limits them.

import { fieldOfView } from "./numbers.js";

const WIDEST = 1400; // pixels of a photo in the report
const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d1c1a}
img{max-width:100%;height:auto}table{border-collapse:collapse;margin:.6rem 0}th,td{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid #ccc}
section{break-inside:avoid;margin-bottom:2.5rem}small,.caveats{color:#555}`;
const CAVEATS = [
  "The metres are estimates of a neural network from one photo. They are not a survey.",
  "Do not let people’s safety, or a machine’s, depend on them.",
  "A tape measure in the same photo makes the others more certain; a camera that was assumed makes them less certain.",
  "Glass, mirrors, screens and pictures of rooms mislead the network.",
];

/** @returns {Promise<Blob>} the report of all photos. */
export async function makeReport(shots, about, when) {
  const parts = [];
  for (const shot of shots) parts.push(section(shot, await picture(shot)));
  const caveats = [...CAVEATS, ...about.failures].map((text) => `<li>${escape(text)}</li>`).join("");
  const text = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Lengths in ${shots.length} photo${shots.length > 1 ? "s" : ""}</title>
<style>${STYLE}</style><h1>Lengths in photos</h1><p><small>${escape(when)}, glpn ${escape(about.glpn)}, model ${escape(about.model)}</small></p>
${parts.join("\n")}<section class="caveats"><h2>Read this before you use the figures</h2><ul>${caveats}</ul>
<p>Terms of the model: ${escape(about.terms)}.</p></section></html>`;
  return new Blob([text], { type: "text/html" });
}

function section(shot, source) {
  const { camera, note, error } = shot.map.facts;
  const focal = camera.fx * shot.map.step;
  const rows = shot.lengths().map(({ from, to, text }, k) =>
    `<tr><td>${k + 1}</td><td>${escape(text)}</td><td>${from.join(", ")}</td><td>${to.join(", ")}</td></tr>`);
  const tapes = shot.tape.map(({ points, metres }) =>
    `<li>${metres} m from ${points.length === 2 ? points[0].join(", ") : "the camera"} to ${points.at(-1).join(", ")}</li>`);
  const doubt = error ? `Two thirds of the depths are within ± ${Math.round(100 * error)} %. ` : "";
  return `<section><h2>${escape(shot.name)}</h2><img src="${source}" alt="The photo with its lengths">
<table><tr><th>No.</th><th>Length</th><th>From pixel</th><th>To pixel</th></tr>${rows.join("") || "<tr><td colspan=4>none kept</td></tr>"}</table>
${tapes.length ? `<p>Measured with a tape:</p><ul>${tapes.join("")}</ul>` : ""}
<p>${doubt}Camera: ${focal.toFixed(0)} px, ${fieldOfView(focal, shot.size[0]).toFixed(1)}° across; ${escape(camera.source)}. ${escape(note)}</p></section>`;
}

/** The photo with its lengths, as a data URL. */
async function picture(shot) {
  const bitmap = await createImageBitmap(shot.file);
  const scale = Math.min(1, WIDEST / shot.size[0]);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.round(shot.size[0] * scale), height: Math.round(shot.size[1] * scale) });
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const unit = Math.max(canvas.width, canvas.height) / 100;
  context.font = `600 ${2.4 * unit}px system-ui, sans-serif`;
  context.textAlign = "center";
  shot.lengths().forEach(({ from, to, text }, k) => {
    const [a, b] = [from, to].map((point) => point.map((value) => (value + 0.5) * scale));
    for (const [colour, width] of [["#000a", 0.6 * unit], ["#fff", 0.25 * unit]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width });
      context.beginPath();
      context.moveTo(...a);
      context.lineTo(...b);
      context.stroke();
    }
    const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2 - unit];
    Object.assign(context, { strokeStyle: "#000", lineWidth: 0.7 * unit, lineJoin: "round", fillStyle: "#fff" });
    context.strokeText(`${k + 1}: ${text}`, ...middle);
    context.fillText(`${k + 1}: ${text}`, ...middle);
  });
  return canvas.toDataURL("image/jpeg", 0.88);
}

const escape = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
