// The ways in which photos arrive: chosen, taken, pasted, dropped, or an example.

import { take } from "./photos.js";
import { Failure } from "./service.js";
import { part, showError } from "./state.js";

async function paste() {
  const items = await navigator.clipboard.read().catch(() => []);
  for (const each of items) {
    const kind = each.types.find((type) => type.startsWith("image/"));
    if (kind) return take([new File([await each.getType(kind)], "pasted", { type: kind })]);
  }
  return showError(new Failure("The clipboard contains no image, or the browser does not allow access to it."));
}

for (const [button, input] of [["choose", "file"], ["more", "file"], ["take", "camera"]]) {
  part(button).addEventListener("click", () => part(input).click());
}
for (const input of [part("file"), part("camera")]) {
  input.addEventListener("change", () => { take(input.files); input.value = ""; });
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
