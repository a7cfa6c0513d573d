import { draw, metresOf } from "./depth.js";

const [photo, answer, canvas] = ["photo", "answer", "depth"].map((id) => document.getElementById(id));

photo.addEventListener("change", async () => {
  const [file] = photo.files;
  if (!file) return;
  answer.value = "Working …";
  try {
    const { near, far } = draw(await metresOf(file), canvas);
    answer.value = `${near.toFixed(2)} to ${far.toFixed(2)} m`;
  } catch (error) {
    answer.value = `This did not work: ${error.message}`;
  }
});
