// Files to download: the depth in every format of the service, and the report.

import { predict } from "./service.js";
import { attempt, item, now, part, speak } from "./state.js";

const FILES = {
  png16: ["PNG, 16 bit", "millimetres"],
  npz: ["NPZ", "metres, camera"],
  exr: ["EXR", "metres, channel Z"],
  tiff: ["TIFF", "metres"],
  ply: ["PLY", "coloured points"],
  vis: ["Picture", "colours"],
  glb: ["GLB", "mesh for Blender and browsers"],
  json: ["JSON", "figures, A and B"],
};

const WITH_SIGMA = ["npz", "json"]; // the formats that hold an uncertainty

/** One button per format of the service. */
export function listFormats() {
  part("files").replaceChildren(...Object.entries(now.about.formats).map(([format, suffix]) => {
    const [title, holds] = FILES[format] ?? [format, suffix];
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.format = format;
    const [strong, small] = [document.createElement("b"), document.createElement("small")];
    strong.textContent = title;
    small.textContent = holds;
    button.append(strong, " ", small);
    button.addEventListener("click", () => attempt(`Making the ${title}`, () => download(format, suffix)));
    return item(button);
  }));
}

async function download(format, suffix) {
  const { map, points } = now.shot;
  const query = { ...now.shot.query(), format };
  if (map.sigma && WITH_SIGMA.includes(format)) query.uncertainty = "flip";
  if (format === "vis") query.colormap = part("colormap").value;
  if (format === "json") {
    query.at = points.map((point) => point.join());
    query.between = now.shot.lengths().map(({ from, to }) => [...from, ...to].join());
  }
  const answer = await predict(now.shot.file, query, part("key").value);
  save(await answer.blob(), `${now.shot.name}.depth${suffix}`);
}

async function report() {
  const { makeReport } = await import("./report.js");
  save(await makeReport(now.shots, now.about, new Date().toLocaleString()), "lengths.html");
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  speak(`${name} was downloaded`);
}

part("report").addEventListener("click", () => attempt("Making the report", report));
