// The page: connects the controls with the service, the picture and the 3-D view.

import { fieldOfView, inMetres, ticks } from "./numbers.js";
import { Picture } from "./picture.js";
import { about, colormaps, Failure, measure, predict, stepFor } from "./service.js";

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
const SPEECH_DELAY = 250; // milliseconds without a new reading, before one is spoken
const UNIT_SPACE = 0.94; // of the scale; the unit stands beyond
const part = (id) => document.getElementById(id);
const chosen = (name) => document.querySelector(`input[name=${name}]:checked`);

/** The state of the page. */
const now = { about: null, colormaps: {}, photo: null, name: "", map: null, here: null, points: [], scene: null };
const picture = new Picture(document, { onRead: read, onPick: pick, onClear: clear });

let speaking;
function speak(words) {
  clearTimeout(speaking);
  speaking = setTimeout(() => { part("live").textContent = words; }, SPEECH_DELAY);
}

function showError(error) {
  const words = error instanceof Failure ? error.message : "Something went wrong on this page.";
  const detail = error instanceof Failure ? error.detail : error.message;
  const small = document.createElement("small");
  small.textContent = detail ? `Details: ${detail}` : "";
  part("alert").replaceChildren(words, " ", small);
  part("alert").hidden = false;
  part("alert").scrollIntoView({ block: "nearest" });
}

/** Run one action of the user: one at a time, and an error becomes a message. */
async function attempt(words, action) {
  if (document.body.ariaBusy === "true") return;
  part("alert").hidden = true;
  document.body.ariaBusy = "true";
  speak(words);
  try {
    await action();
  } catch (error) {
    showError(error);
  } finally {
    document.body.ariaBusy = "false";
  }
}

// ---- a new photo

function take(file) {
  if (!file) return;
  attempt("Measuring", async () => {
    const largest = now.about?.max_body ?? Infinity;
    if (file.size > largest) {
      throw new Failure(`The photo is too large: ${megabytes(file.size)}. This service accepts ${megabytes(largest)}.`);
    }
    const size = await load(part("photo"), file);
    const kept = { photo: now.photo, name: now.name };
    Object.assign(now, { photo: file, name: stem(file.name) });
    chosenLens("auto");
    try {
      await estimate(size);
    } catch (error) {
      Object.assign(now, kept);
      if (kept.photo) await load(part("photo"), kept.photo);
      throw error;
    }
  });
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const stem = (name) => (name || "photo").replace(/\.[^.]*$/, "");

/** Show a file in an <img>; [width, height], or null where the browser cannot read it. */
async function load(image, file) {
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
  } catch {
    return null; // the service reports what is wrong with it
  }
  return [image.naturalWidth, image.naturalHeight];
}

async function estimate(size) {
  const step = size ? stepFor(...size) : 1;
  const doubt = part("sigma").checked ? { uncertainty: "flip" } : {};
  now.map = await measure(now.photo, { ...lens(), ...doubt }, step, part("key").value);
  if (!size) throw new Failure("This browser cannot show the photo.");
  now.size = size;
  now.points = [];
  now.range = now.map.range();
  part("start").hidden = true;
  part("result").hidden = false;
  part("again").hidden = false;
  picture.show(now.map, size);
  colour();
  describe();
  now.scene?.show(now.map, texture());
  picture.read(picture.here);
  picture.frame.focus({ preventScroll: true });
}

/** The photo at the size of the depth map, as the texture of the 3-D view. */
function texture() {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: now.map.width, height: now.map.height });
  canvas.getContext("2d").drawImage(part("photo"), 0, 0, canvas.width, canvas.height);
  return canvas;
}

// ---- reading and measuring

function read(position) {
  now.here = position;
  const metres = now.map.at(position);
  part("here").textContent = inMetres(metres, now.map.sigmaAt(position));
  part("here-at").textContent = `x ${position[0]}, y ${position[1]}`;
  needle(metres);
  speak(`${inMetres(metres)} at ${position.join(", ")}`);
  picture.mark(position, now.points);
}

function pick(position) {
  now.points = now.points.length === 2 ? [position] : [...now.points, position];
  measured();
}

function clear() {
  now.points = [];
  measured();
}

function measured() {
  ["a", "b"].forEach((name, k) => {
    const point = now.points[k];
    part(name).textContent = point ? inMetres(now.map.at(point), now.map.sigmaAt(point)) : "–";
    part(`${name}-at`).textContent = point ? `x ${point[0]}, y ${point[1]}` : ["first point", "second point"][k];
  });
  const both = now.points.length === 2;
  const apart = both ? inMetres(now.map.between(...now.points)) : "–";
  part("apart").textContent = apart;
  part("clear").disabled = now.points.length === 0;
  const said = ["Points cleared", "First point set; choose the second", `${apart} from A to B`];
  speak(said[now.points.length]);
  picture.mark(now.here, now.points);
  now.scene?.mark(now.points);
}

// ---- colours and their scale

function colour() {
  const table = Uint8Array.from(now.colormaps[part("colormap").value].match(/../g), (pair) => parseInt(pair, 16));
  picture.paint(table, now.range);
  const bar = part("bar").getContext("2d");
  const row = bar.createImageData(256, 1);
  for (let k = 0; k < 256; k += 1) row.data.set([...table.subarray(3 * k, 3 * k + 3), 255], 4 * k);
  bar.putImageData(row, 0, 0);
  const [near, far] = now.range;
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

function needle(metres) {
  const [near, far] = now.range;
  const share = Math.max(0, Math.min(1, (metres - near) / (far - near)));
  part("needle").hidden = metres === null;
  part("needle").style.left = `${100 * share}%`;
}

// ---- the camera and the texts beside the picture

function lens() {
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

function chosenLens(kind) {
  document.querySelector(`input[name=lens][value=${kind}]`).checked = true;
}

function describe() {
  const { camera, max_depth: reach, note, model, model_hash: hash, engine, error, error_data: frames } = now.map.facts;
  const focal = camera.fx * now.map.step;
  const fov = fieldOfView(focal, now.size[0]);
  part("lens-now").textContent = `${focal.toFixed(0)} px, ${fov.toFixed(1)}° across; ${camera.source}.`;
  if (chosen("lens").value !== "focal") part("focal").value = focal.toFixed(0);
  if (chosen("lens").value !== "fov") part("fov").value = fov.toFixed(1);
  const [width, height] = now.size;
  part("range").textContent = reach === null ? "" : `For this photo the model’s range ends at ${inMetres(reach)}. Anything farther appears nearer.`;
  if (error) part("range").textContent += ` ± ${Math.round(100 * error)} % for two thirds of the pixels${/^assumed/.test(camera.source) ? " if the camera is as assumed" : ""}, measured on ${frames}.`;
  part("note").textContent = `${capital(note)}.`;
  part("note").hidden = !note;
  part("origin").textContent = `${model}, weights ${hash.slice(0, 12)}, on ${engine}; ${width} × ${height} pixels.`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function introduce() {
  part("model").textContent = now.about.model;
  part("terms").textContent = `Terms of the model: ${now.about.terms}.`;
  part("version").textContent = `glpn ${now.about.glpn}`;
  part("accepted").textContent = `JPEG, PNG or WebP, up to ${megabytes(now.about.max_body)}`;
  part("key-row").hidden = !now.about.needs_key;
  part("colormap").replaceChildren(...Object.keys(now.colormaps).map((name) => new Option(name, name)));
  const words = now.about.failures.length
    ? now.about.failures
    : ["The model’s card lists no known failures."];
  part("failures").replaceChildren(...words.map((word) => item(word)));
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

function item(content) {
  const element = document.createElement("li");
  element.append(content);
  return element;
}

// ---- files

async function download(format, suffix) {
  const query = { ...lens(), format };
  if (format === "vis") query.colormap = part("colormap").value;
  if (format === "json") {
    query.at = now.points.map((point) => point.join());
    if (now.points.length === 2) query.between = now.points.flat().join();
  }
  const answer = await predict(now.photo, query, part("key").value);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = `${now.name}.depth${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  speak(`${link.download} was downloaded`);
}

// ---- the scene

async function showView(view) {
  part("picture-view").hidden = view !== "picture";
  part("scene-view").hidden = view !== "scene";
  part("colormap-row").hidden = part("scale").hidden = view === "scene";
  if (view !== "scene" || now.scene) return;
  try {
    const { SceneView } = await import("./scene.js");
    now.scene = new SceneView(part("scene"), [part("scene-a"), part("scene-b")]);
    now.scene.show(now.map, texture());
    now.scene.mark(now.points);
    now.scene.lookAround();
  } catch {
    part("scene-alert").textContent = "This browser cannot draw in 3-D because WebGL is unavailable. Download the GLB or PLY file instead.";
    part("scene-alert").hidden = false;
  }
}

// ---- inputs

function images(list) {
  return [...(list ?? [])].find((file) => file instanceof File);
}

async function paste() {
  const items = await navigator.clipboard.read().catch(() => []);
  for (const each of items) {
    const kind = each.types.find((type) => type.startsWith("image/"));
    if (kind) return take(new File([await each.getType(kind)], "pasted", { type: kind }));
  }
  return showError(new Failure("The clipboard holds no image, or the browser does not allow access to it."));
}

function connect() {
  for (const [button, input] of [["choose", "file"], ["take", "camera"]]) {
    part(button).addEventListener("click", () => part(input).click());
    part(input).addEventListener("change", () => { take(part(input).files[0]); part(input).value = ""; });
  }
  part("take").hidden = !matchMedia("(any-pointer: coarse)").matches;
  part("paste").hidden = !navigator.clipboard?.read;
  part("paste").addEventListener("click", paste);
  addEventListener("paste", (event) => take(images(event.clipboardData?.files)));
  addEventListener("dragover", (event) => { event.preventDefault(); part("over").hidden = false; });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) part("over").hidden = true; });
  addEventListener("drop", (event) => {
    event.preventDefault();
    part("over").hidden = true;
    take(images(event.dataTransfer.files));
  });
  for (const button of document.querySelectorAll("[data-example]")) {
    button.addEventListener("click", async () => {
      const path = button.dataset.example;
      take(new File([await (await fetch(path)).blob()], path.split("/").pop()));
    });
  }
  part("again").addEventListener("click", () => {
    part("start").hidden = false;
    part("result").hidden = true;
    part("again").hidden = true;
    part("alert").hidden = true;
    part("choose").focus();
  });
  part("key-row").addEventListener("submit", (event) => event.preventDefault());
  part("clear").addEventListener("click", clear);
  part("colormap").addEventListener("change", colour);
  for (const radio of document.querySelectorAll("input[name=view]")) {
    radio.addEventListener("change", () => showView(radio.value));
  }
  for (const kind of ["fov", "focal"]) part(kind).addEventListener("input", () => chosenLens(kind));
  part("lens").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt("Measuring again", () => estimate(now.size));
  });
  for (const button of document.querySelectorAll("[data-turn]")) {
    button.addEventListener("click", () => now.scene?.turn(button.dataset.turn));
  }
}

connect();
attempt("", async () => { [now.about, now.colormaps] = await Promise.all([about(), colormaps()]); introduce(); });
