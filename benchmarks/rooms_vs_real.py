"""How like real frames procedural rooms are: depth and image statistics of both, side by side.

    python benchmarks/rooms_vs_real.py [--real ../shared/data/nyu795] [--count 100]
                                       [--furniture FOLDER] [--cameras handheld] [--views 4]

Depth and pictures are compared at 240×320, inside the border of the real frames.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from glpn.synthetic import render

SIZE = (240, 320)
CROP = (slice(22, 236), slice(20, 301))  # half of NYU's evaluation crop
PERCENTILES = (2, 10, 25, 50, 75, 90, 98)
NYU_STEPS_PER_METRE = 25.5  # of the 8-bit depth files

Frame = tuple[NDArray[np.uint8], NDArray[np.float32]]


def real_frames(folder: Path, count: int) -> list[Frame]:
    """Evenly spaced frames of the real set's training part, at SIZE."""
    names = [Path(line).stem for line in (folder / "train.txt").read_text().split()]
    frames = []
    for name in names[:: max(1, len(names) // count)][:count]:
        photo = next((folder / "rgb").glob(f"{name}.*"))
        image = Image.open(photo).convert("RGB").resize(SIZE[::-1], Image.Resampling.BOX)
        raw = Image.open(folder / "depth" / f"{name}.png").resize(
            SIZE[::-1], Image.Resampling.NEAREST
        )
        depth = (np.asarray(raw, np.float32) + 0.5) / NYU_STEPS_PER_METRE
        frames.append((np.asarray(image), depth))
    return frames


def rendered_frames(count: int, **options: Any) -> list[Frame]:
    """As many frames of rooms; the options are those of `render`."""
    frames: list[Frame] = []
    step = max(4, options.get("views", 1))  # whole rooms, because each call samples its own
    for start in range(0, count, step):
        batch = render(range(start, min(start + step, count)), SIZE, **options)
        frames += zip(batch.image.numpy(), batch.depth.numpy(), strict=True)
    return frames


def statistics(frames: list[Frame]) -> dict[str, list[float]]:
    """Each figure per frame, then its mean; spreads are over frames."""
    rows: dict[str, list[NDArray[np.float64]]] = {}
    for image, depth in frames:
        for name, value in frame_statistics(image[CROP] / 255.0, depth[CROP]).items():
            rows.setdefault(name, []).append(np.atleast_1d(np.asarray(value, np.float64)))
    table = {name: np.stack(values).mean(0).round(3).tolist() for name, values in rows.items()}
    medians = np.concatenate(rows["median depth"])
    spread = np.percentile(medians, [5, 25, 50, 75, 95])
    return {**table, "median depth over frames, 5 25 50 75 95 %": spread.round(2).tolist()}


def frame_statistics(image: NDArray[np.float64], depth: NDArray[np.float32]) -> dict[str, object]:
    """Figures of one frame; image in 0..1."""
    grey = image.mean(-1)
    across, down = np.diff(grey, axis=1)[:-1], np.diff(grey, axis=0)[:, :-1]
    slope = np.hypot(across, down)
    log_depth = np.log(depth.clip(0.1))
    jump = np.abs(np.diff(log_depth, axis=1))
    spread = image.max(-1) - image.min(-1)
    return {
        "depth percentiles 2 10 25 50 75 90 98 m": np.percentile(depth, PERCENTILES),
        "depth of rows, top to bottom m": depth[::30].mean(1),
        "median depth": np.median(depth),
        "std of log depth": log_depth.std(),
        "share of depth edges (5 % jump)": (jump > 0.05).mean(),
        "image percentiles 2 10 25 50 75 90 98": np.percentile(grey, PERCENTILES),
        "image std": grey.std(),
        "colourfulness": spread.mean(),
        "channel means": image.mean((0, 1)),
        "gradient mean": slope.mean(),
        "gradient percentiles 50 75 90 98": np.percentile(slope, [50, 75, 90, 98]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=Path("../shared/data/nyu795"))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--furniture", type=Path, help="folder of furniture meshes")
    parser.add_argument("--cameras", default="level")
    parser.add_argument("--views", type=int, default=1, help="frames of one room")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = {key: vars(arguments)[key] for key in ("furniture", "cameras", "views")}
    ours = statistics(rendered_frames(arguments.count, **options))
    real = (
        statistics(real_frames(arguments.real, arguments.count)) if arguments.real.is_dir() else {}
    )
    for name, values in ours.items():
        print(f"{name}\n  rooms {values}\n  real  {real.get(name, 'not here')}")
    print(json.dumps({"rooms": ours, "real": real}))


if __name__ == "__main__":
    main()
