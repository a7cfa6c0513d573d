// Reading metres, and measuring between the points A and B.

import { inMetres } from "./numbers.js";
import { Picture } from "./picture.js";
import { moveNeedle } from "./scale.js";
import { now, part, speak } from "./state.js";

export const picture = new Picture(document, { onRead: read, onPick: pick, onClear: clear });

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

/** Show the points and their length; the event "measured" lets the tape and the gallery follow. */
export function measured() {
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
  speak(["Points cleared", "First point set; choose the second", `${apart} from A to B`][points.length]);
  picture.mark(now.here, points, now.shot.lengths());
  now.scene?.mark(points, both ? apart : "");
  document.dispatchEvent(new Event("measured"));
}

for (const [id, action] of [["keep", keep], ["clear", clear]]) {
  part(id).addEventListener("click", () => {
    action();
    part("frame").focus({ preventScroll: true }); // the button is disabled now
  });
}
