// The tape measure: true lengths that calibrate all others.

import { pressable } from "./album.js";
import { remeasure } from "./photos.js";
import { Failure } from "./service.js";
import { attempt, item, now, part, refill, showError } from "./state.js";

const TAPE_RANGE = [0.01, 1000]; // metres

function showTape() {
  const { points, tape } = now.shot;
  part("tape-what").textContent = ["Set A and B, or only A", "Camera to A is", "A to B is"][points.length];
  part("tape-metres").disabled = part("tape-use").disabled = points.length === 0;
  refill(part("tapes"), tape.map((each, k) => item(
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
  const { points, tape } = now.shot;
  if (tape.some((each) => each.points.length !== points.length)) {
    showError(new Failure("Use one kind of tape measure: from the camera, or between two points. Remove the other kind first."));
    return;
  }
  part("tape-metres").value = "";
  calibrate([...tape, { points, metres }]);
}

/** Measure again with these tape measures. */
function calibrate(tape) {
  attempt("Calibrating", () => remeasure(now.shot, { tape }));
}

document.addEventListener("measured", showTape);
part("tape").addEventListener("submit", (event) => {
  event.preventDefault();
  useTape();
});
