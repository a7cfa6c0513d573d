// The page: connects the controls with the service, the picture and the 3-D view.

import { fillGallery, MAX_PHOTOS, pressable, Shot } from "./album.js";
import { fieldOfView, inMetres } from "./numbers.js";
import { Picture } from "./picture.js";
import { drawScale, moveNeedle } from "./scale.js";
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
const TAPE_RANGE = [0.01, 1000]; // metres
const part = (id) => document.getElementById(id);
const chosen = (name) => document.querySelector(`input[name=${name}]:checked`);

/** The state of the page; `shot` is the photo on display, one of `shots`. */
const now = { about: null, colormaps: {}, shots: [], shot: null, here: null, scene: null };
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

// ---- photos

function take(files) {
  const list = [...(files ?? [])].filter((file) => file instanceof File);
  if (!list.length) return;
  attempt(list.length > 1 ? `Measuring ${list.length} photos` : "Measuring", async () => {
    for (const file of list) await add(file);
    part("frame").focus({ preventScroll: true });
  });
}

async function add(file) {
  const largest = now.about?.max_body ?? Infinity;
  if (file.size > largest) {
    throw new Failure(`The photo is too large: ${megabytes(file.size)}. This service accepts ${megabytes(largest)}.`);
  }
  if (now.shots.length === MAX_PHOTOS) throw new Failure(`The page holds ${MAX_PHOTOS} photos. Remove one first.`);
  const shot = new Shot(file);
  const displayed = await load(part("photo"), file);
  try {
    await estimate(shot, displayed);
  } catch (error) {
    if (now.shot) await load(part("photo"), now.shot.file);
    throw error;
  }
  now.shots.push(shot);
  present(shot);
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

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

/** Measure a photo with its camera and its tape; `size` is null where the browser cannot read it. */
async function estimate(shot, size) {
  const step = size ? stepFor(...size) : 1;
  const map = await measure(shot.file, { ...queryOf(shot), ...doubt() }, step, part("key").value);
  if (!size) throw new Failure("This browser cannot show the photo.");
  shot.show(map, part("photo"));
}

const queryOf = (shot) => ({ ...shot.lens, ...shot.measurements() });
const doubt = () => (part("sigma").checked ? { uncertainty: "flip" } : {});

/** Display a measured photo; its file is in the <img> already. */
function present(shot) {
  const isSame = now.shot === shot;
  now.shot = shot;
  part("start").hidden = true;
  part("result").hidden = false;
  part("again").hidden = false;
  document.body.classList.add("measuring");
  chosenLens(Object.keys(shot.lens)[0] ?? "auto");
  picture.show(shot.map, shot.size, isSame);
  colour();
  describe();
  now.scene?.show(shot.map, texture());
  picture.read(picture.here);
  measured();
}

async function open(shot) {
  if (shot === now.shot) return;
  await load(part("photo"), shot.file);
  present(shot);
}

async function drop(shot) {
  now.shots = now.shots.filter((each) => each !== shot);
  if (!now.shots.length) {
    now.shot = null;
    start();
  } else if (shot === now.shot) await open(now.shots[0]);
  else gallery();
}

function start() {
  part("start").hidden = false;
  part("result").hidden = true;
  part("again").hidden = true;
  part("alert").hidden = true;
  document.body.classList.remove("measuring");
  part("choose").focus();
}

function gallery() {
  fillGallery(part("shots"), now.shots, now.shot, {
    onOpen: (shot) => attempt(`Opening ${shot.name}`, () => open(shot)),
    onDrop: (shot) => attempt(`Removing ${shot.name}`, () => drop(shot)),
    onForget: (shot, index) => {
      shot.kept.splice(index, 1);
      measured();
    },
  });
}

/** The photo at the size of the depth map, as the texture of the 3-D view. */
function texture() {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: now.shot.map.width, height: now.shot.map.height });
  canvas.getContext("2d").drawImage(part("photo"), 0, 0, canvas.width, canvas.height);
  return canvas;
}

// ---- reading and measuring

function read(position) {
  const { map, points, range } = now.shot;
  now.here = position;
  const metres = map.at(position);
  part("here").textContent = inMetres(metres, map.sigmaAt(position));
  part("here-at").textContent = `x ${position[0]}, y ${position[1]}`;
  moveNeedle(document, metres, range);
  speak(`${inMetres(metres)} at ${position.join(", ")}`);
  picture.mark(position, points, now.shot.lengths());
}

function pick(position) {
  const { points } = now.shot;
  now.shot.points = points.length === 2 ? [position] : [...points, position];
  measured();
}

function clear() {
  now.shot.points = [];
  measured();
}

function keep() {
  now.shot.kept.push(now.shot.points);
  now.shot.points = [];
  measured();
}

function measured() {
  const { map, points } = now.shot;
  ["a", "b"].forEach((name, k) => {
    const point = points[k];
    part(name).textContent = point ? inMetres(map.at(point), map.sigmaAt(point)) : "–";
    part(`${name}-at`).textContent = point ? `x ${point[0]}, y ${point[1]}` : ["first point", "second point"][k];
  });
  const both = points.length === 2;
  const apart = both ? now.shot.lengthOf(points) : "–";
  part("apart").textContent = apart;
  part("clear").disabled = points.length === 0;
  part("keep").disabled = !both;
  const said = ["Points cleared", "First point set; choose the second", `${apart} from A to B`];
  speak(said[points.length]);
  picture.mark(now.here, points, now.shot.lengths());
  now.scene?.mark(points, both ? apart : "");
  tapeRow();
  gallery();
}

// ---- the tape measure

function tapeRow() {
  const { points, tape } = now.shot;
  part("tape-what").textContent = ["Set A and B, or A alone", "Camera to A is", "A to B is"][points.length];
  part("tape-metres").disabled = part("tape-use").disabled = points.length === 0;
  part("tapes").replaceChildren(...tape.map((each, k) => item(
    each.points.length === 2 ? `${each.metres} m between two points ` : `${each.metres} m from the camera `,
    pressable("×", () => calibrate(tape.filter((_, index) => index !== k)), `Remove tape measure ${k + 1}`),
  )));
}

function useTape() {
  const metres = part("tape-metres").valueAsNumber;
  const [least, most] = TAPE_RANGE;
  if (!(metres >= least && metres <= most)) {
    showError(new Failure(`Enter a length from ${least} to ${most} metres.`));
    return;
  }
  part("tape-metres").value = "";
  calibrate([...now.shot.tape, { points: now.shot.points, metres }]);
}

/** Measure again with these tape measures; if they are impossible, the earlier ones remain. */
function calibrate(tape) {
  attempt("Calibrating", async () => {
    const shot = now.shot, before = shot.tape;
    shot.tape = tape;
    try {
      await estimate(shot, shot.size);
    } catch (error) {
      shot.tape = before;
      throw error;
    }
    present(shot);
  });
}

async function report() {
  const { makeReport } = await import("./report.js");
  save(await makeReport(now.shots, now.about, new Date().toLocaleString()), "lengths.html");
}

// ---- colours

function colour() {
  const table = Uint8Array.from(now.colormaps[part("colormap").value].match(/../g), (pair) => parseInt(pair, 16));
  picture.paint(table, now.shot.range);
  drawScale(document, table, now.shot.range);
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

function item(...content) {
  const element = document.createElement("li");
  element.append(...content);
  return element;
}

// ---- files

async function download(format, suffix) {
  const { points } = now.shot;
  const query = { ...queryOf(now.shot), format };
  if (format === "vis") query.colormap = part("colormap").value;
  if (format === "json") {
    query.at = points.map((point) => point.join());
    query.between = now.shot.lengths().map(({ from, to }) => [...from, ...to].join());
  }
  const answer = await predict(now.shot.file, query, part("key").value);
  save(await answer.blob(), `${now.shot.name}.depth${suffix}`);
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  speak(`${name} was downloaded`);
}

// ---- the scene

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

// ---- inputs

async function paste() {
  const items = await navigator.clipboard.read().catch(() => []);
  for (const each of items) {
    const kind = each.types.find((type) => type.startsWith("image/"));
    if (kind) return take([new File([await each.getType(kind)], "pasted", { type: kind })]);
  }
  return showError(new Failure("The clipboard holds no image, or the browser does not allow access to it."));
}

function connect() {
  for (const [button, input] of [["choose", "file"], ["take", "camera"]]) {
    part(button).addEventListener("click", () => part(input).click());
    part(input).addEventListener("change", () => { take(part(input).files); part(input).value = ""; });
  }
  part("take").hidden = !matchMedia("(any-pointer: coarse)").matches;
  part("paste").hidden = !navigator.clipboard?.read;
  part("paste").addEventListener("click", paste);
  addEventListener("paste", (event) => take(event.clipboardData?.files));
  addEventListener("dragover", (event) => { event.preventDefault(); part("over").hidden = false; });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) part("over").hidden = true; });
  addEventListener("drop", (event) => {
    event.preventDefault();
    part("over").hidden = true;
    take(event.dataTransfer.files);
  });
  for (const button of document.querySelectorAll("[data-example]")) {
    button.addEventListener("click", async () => {
      const path = button.dataset.example;
      take([new File([await (await fetch(path)).blob()], path.split("/").pop())]);
    });
  }
  part("again").addEventListener("click", start);
  part("more").addEventListener("click", () => part("file").click());
  part("keep").addEventListener("click", keep);
  part("report").addEventListener("click", () => attempt("Making the report", report));
  part("tape").addEventListener("submit", (event) => {
    event.preventDefault();
    useTape();
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
    attempt("Measuring again", async () => {
      now.shot.lens = lens();
      await estimate(now.shot, now.shot.size);
      present(now.shot);
    });
  });
  for (const button of document.querySelectorAll("[data-turn]")) {
    button.addEventListener("click", () => now.scene?.turn(button.dataset.turn));
  }
}

connect();
attempt("", async () => { [now.about, now.colormaps] = await Promise.all([about(), colormaps()]); introduce(); });
