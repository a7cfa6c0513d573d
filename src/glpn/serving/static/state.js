// The state of the page, and its messages to the user.

import { Failure } from "./service.js";

const SPEECH_DELAY = 250; // milliseconds without a new reading, before one is spoken

/** `shot` is the photo on display, one of `shots`; `here` is the reading point. */
export const now = { about: null, colormaps: {}, shots: [], shot: null, here: null, scene: null };

export const part = (id) => document.getElementById(id);
export const chosen = (name) => document.querySelector(`input[name=${name}]:checked`);

let speaking;
/** Announce words to screen readers. */
export function speak(words) {
  clearTimeout(speaking);
  speaking = setTimeout(() => { part("live").textContent = words; }, SPEECH_DELAY);
}

export function showError(error) {
  const words = error instanceof Failure ? error.message : "Something went wrong on this page.";
  const detail = error instanceof Failure ? error.detail : error.message;
  const small = document.createElement("small");
  small.textContent = detail ? `Details: ${detail}` : "";
  part("alert").replaceChildren(words, " ", small);
  part("alert").hidden = false;
  part("alert").scrollIntoView({ block: "nearest" });
}

/**
 * Run one action of the user: one at a time, and an error becomes a message. The messages stand
 * outside <main>, because screen readers may hold back what changes inside a busy element.
 */
export async function attempt(words, action) {
  if (part("main").ariaBusy === "true") return;
  part("alert").hidden = true;
  part("main").ariaBusy = "true";
  speak(words);
  try {
    await action();
  } catch (error) {
    showError(error);
  } finally {
    part("main").ariaBusy = "false";
  }
}

export const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

/**
 * Replace the items of a list. If the focus was in it, it goes to the button with the same label,
 * or to the picture where that button is gone: a removed element would drop the focus.
 */
export function refill(list, items) {
  const label = list.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
  list.replaceChildren(...items);
  if (label === null) return;
  const same = [...list.querySelectorAll("button")].find((button) => button.ariaLabel === label);
  (same ?? part("frame")).focus({ preventScroll: true });
}

/** A list item. */
export function item(...content) {
  const element = document.createElement("li");
  element.append(...content);
  return element;
}
