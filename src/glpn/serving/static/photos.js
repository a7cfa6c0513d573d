// The photos of this visit: measure them, display one, open and remove others.

import { fillGallery, MAX_PHOTOS, Shot } from "./album.js";
import { checkLens, chosenLens, describe } from "./camera.js";
import { measured, picture } from "./measuring.js";
import { Failure, measure, stepFor } from "./service.js";
import { attempt, megabytes, now, part } from "./state.js";
import { colour, texture } from "./view.js";

/** Measure files that the user gave, and display the last. */
export function take(files) {
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
  if (now.shots.length === MAX_PHOTOS) throw new Failure(`The page keeps at most ${MAX_PHOTOS} photos. Remove one first.`);
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
  const refined = part("sigma").checked ? { uncertainty: "flip" } : {};
  const ask = (query) => measure(shot.file, { ...query, ...refined }, step, part("key").value);
  const query = shot.query();
  let map = await ask(query);
  // The service takes depths, and a distance from the camera is a depth only along known rays.
  // Another camera has other rays, which its first answer states.
  const corrected = shot.query(map);
  if (corrected.ref.join() !== query.ref.join()) map = await ask(corrected);
  if (!size) throw new Failure("This browser cannot show the photo.");
  shot.show(map, part("photo"));
}

/** Measure a photo again with another `lens` or `tape`; if that fails, the earlier one remains. */
export async function remeasure(shot, changes) {
  const before = { lens: shot.lens, tape: shot.tape };
  Object.assign(shot, changes);
  try {
    await estimate(shot, shot.size);
  } catch (error) {
    Object.assign(shot, before);
    throw error;
  }
  present(shot);
}

/** Display a measured photo; its file is in the <img> already. */
function present(shot) {
  const isSame = now.shot === shot;
  now.shot = shot;
  part("start").hidden = true;
  part("result").hidden = false;
  part("again").hidden = false;
  part("result-title").textContent = `Depth of ${shot.name}`;
  document.body.classList.add("measuring");
  checkLens(Object.keys(shot.lens)[0] ?? "auto");
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

document.addEventListener("measured", gallery);
part("again").addEventListener("click", start);
part("lens").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt("Measuring again", async () => remeasure(now.shot, { lens: chosenLens() }));
});
