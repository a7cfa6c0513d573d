"""What tiles are worth: errors and sharpness of depth edges with and without them.

    python benchmarks/tiles.py [--nyu ../shared/data/nyu795] [--model glpn-b0-indoor] [--rooms 4]

Frames of the real set's training part (those kept for validation are not touched) at their own
480×640, and rendered rooms at 960×1280. AbsRel and δ1 are over the pixels of known depth; of the
real frames inside NYU's evaluation crop. The sharpness is the F1 score of occluding edges
(Bochkovskii et al. 2024, Depth Pro, section 4), the mean over steps of 5 to 25 %, between pixels
1, 4 and 16 apart: a soft edge has no step between neighbours at all. Rows "input" have no tiles but
a larger input of the network. "moved" is the mean |change of log depth|, "cells" by how much the
mean log depth of a cell that the whole could see moved, at most.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import glpn
from glpn.estimator import MAX_INPUT_PIXELS
from glpn.evaluation.metrics import pixel_sums
from glpn.processing import tiling

CROP = (slice(45, 471), slice(41, 601))  # Eigen et al. 2014
NYU_STEPS_PER_METRE = 25.5  # of the 8-bit depth files
STEPS = np.linspace(1.05, 1.25, 5)
REACHES = (1, 4, 16)  # pixels
TILES = (1, 2, 3, 4, 6)
LARGER = (1.5, 2, 2.5)  # inputs, in the model's own sides
ROOM_SIZE = (960, 1280)
FIRST_ROOM = 9000

Frame = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]


def real_frames(folder: Path, count: int) -> Iterator[Frame]:
    names = [Path(line).stem for line in (folder / "train.txt").read_text().split()]
    for name in names[:: max(len(names) // count, 1)][:count]:
        image = np.asarray(Image.open(next((folder / "rgb").glob(f"{name}.*"))).convert("RGB"))
        raw = np.asarray(Image.open(folder / "depth" / f"{name}.png"), np.float32)
        valid = np.zeros(raw.shape, bool)
        valid[CROP] = (raw[CROP] > 2) & (raw[CROP] < 254)  # the ends stand for anything beyond
        yield image, (raw + 0.5) / NYU_STEPS_PER_METRE, valid


def rendered_frames(count: int) -> Iterator[Frame]:
    from glpn.synthetic import render

    for seed in range(FIRST_ROOM, FIRST_ROOM + count):
        room = render([seed], ROOM_SIZE)
        depth = room.depth[0].numpy()
        yield room.image[0].numpy(), depth, depth > 0


def edge_f1(
    metres: NDArray[np.float32],
    truth: NDArray[np.float32],
    valid: NDArray[np.bool_],
    *,
    reach: int,
) -> float:
    scores = []
    for step in STEPS:
        hits = edges = 0
        for axis in (0, 1):
            known = np.logical_and(*_pairs(valid, axis, reach))
            for order in (1, -1):  # the nearer one comes first, or second
                near, far = _pairs(metres, axis, reach)[::order]
                true_near, true_far = _pairs(truth, axis, reach)[::order]
                said, true = far > step * near, true_far > step * true_near
                hits += int((said & true & known).sum())
                edges += int((said & known).sum() + (true & known).sum())
        scores.append(2 * hits / max(edges, 1))
    return float(np.mean(scores))


def _pairs(values: NDArray[np.generic], axis: int, reach: int) -> tuple[NDArray[np.generic], ...]:
    lines = np.moveaxis(values, axis, 0)
    return lines[:-reach], lines[reach:]


def enlarged(
    estimator: glpn.DepthEstimator, seen: tuple[int, int], times: float
) -> glpn.DepthEstimator:
    side = round(min(seen) * times)
    processor = dataclasses.replace(estimator.processor, short_side=side)
    return glpn.DepthEstimator(estimator.engine, processor, estimator.provenance)


def measure(estimator: glpn.DepthEstimator, frames: Iterator[Frame]) -> dict[str, dict[str, float]]:
    rows: dict[str, list[tuple[float, ...]]] = {}
    for image, truth, valid in frames:
        size = truth.shape
        seen = estimator.processor.input_size(*size, max_pixels=MAX_INPUT_PIXELS)
        grid = [-(-side // tiling.CELL) for side in seen]
        whole = estimator(image).metres
        counts = [n for n in TILES if tiling.tiles_a_side(n, size, seen) == n]
        maps = {f"{n}x{n} tiles": estimator(image, tiles=n).metres for n in counts}
        maps |= {f"input x{n}": enlarged(estimator, seen, n)(image).metres for n in LARGER}
        for name, metres in maps.items():
            scores = pixel_sums(metres, truth, valid).metrics()
            edges = [edge_f1(metres, truth, valid, reach=reach) for reach in REACHES]
            change = np.log(metres / whole)
            cells = np.abs(tiling.cell_means(change, grid)).max()
            moved = np.abs(change).mean()
            row = (scores.abs_rel, scores.delta1, *edges, float(moved), float(cells))
            rows.setdefault(name, []).append(row)
    names = ("abs_rel", "delta1", *(f"edge_f1_{reach}px" for reach in REACHES), "moved", "cells")
    return {
        tiles: {
            "frames": len(all_),
            **dict(zip(names, np.mean(all_, axis=0).tolist(), strict=True)),
        }
        for tiles, all_ in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nyu", type=Path, default=Path("../shared/data/nyu795"))
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--frames", type=int, default=24, help="real ones, evenly chosen")
    parser.add_argument("--rooms", type=int, default=4)
    parser.add_argument(
        "--cell", type=int, default=tiling.CELL, help="see `glpn.processing.tiling`"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    estimator = glpn.load(options.model, threads=1)
    tiling.CELL = options.cell
    results = {}
    if options.nyu.is_dir():
        results["real 480x640"] = measure(estimator, real_frames(options.nyu, options.frames))
    if options.rooms:
        results["rooms 960x1280"] = measure(estimator, rendered_frames(options.rooms))
    for what, rows in results.items():
        for name, row in rows.items():
            figures = "  ".join(f"{key} {value:.4f}" for key, value in row.items())
            print(f"{what}  {name:11}  {figures}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
