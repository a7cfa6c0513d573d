// The start of the page. Each module connects its own controls.

import "./inputs.js";
import "./tape.js";
import { listFormats } from "./downloads.js";
import { about, colormaps } from "./service.js";
import { attempt, item, megabytes, now, part } from "./state.js";

function introduce() {
  part("model").textContent = now.about.model;
  part("terms").textContent = `Terms of the model: ${now.about.terms}.`;
  part("version").textContent = `glpn ${now.about.glpn}`;
  part("accepted").textContent = `JPEG, PNG or WebP, up to ${megabytes(now.about.max_body)}`;
  part("key-row").hidden = !now.about.needs_key;
  part("key-row").addEventListener("submit", (event) => event.preventDefault());
  part("colormap").replaceChildren(...Object.keys(now.colormaps).map((name) => new Option(name, name)));
  const words = now.about.failures.length
    ? now.about.failures
    : ["The model’s card lists no known failures."];
  part("failures").replaceChildren(...words.map((word) => item(word)));
  listFormats();
}

attempt("", async () => { [now.about, now.colormaps] = await Promise.all([about(), colormaps()]); introduce(); });
