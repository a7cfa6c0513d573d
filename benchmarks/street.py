"""Models on real streets, beside what knows no picture at all.

    python benchmarks/street.py FOLDER [--models glpn-b0-rooms RUNS/street/glpn-b0-street]

FOLDER is a dataset of streets with known cameras. Means over its frames of δ1 and AbsRel over
valid pixels up to 80 m, no crop: metric with the camera given, and after one scale per image.
"floor" is the mean of log depth, place by place, over rendered streets, brought to each camera.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import glpn
from glpn.data.datasets import open_dataset
from glpn.data.sample import Sample
from glpn.evaluation.metrics import pixel_sums
from glpn.synthetic import render

FAR = 80.0  # metres
SMALL = (54, 72)  # rows and columns of the floor's map

Guess = Callable[[Sample], NDArray[np.float32]]


def floor(count: int) -> Guess:
    """The mean depth of rendered streets as a camera with its focal length sees them."""
    logs = []
    for first in range(0, count, 8):
        batch = render(range(first, min(first + 8, count)), SMALL, kind="street")
        depth = batch.depth.numpy().clip(0.1, FAR)
        ratios = np.array([camera.fy / SMALL[0] for camera in batch.cameras])
        logs.append(np.log(depth / ratios[:, None, None]))
    mean = np.exp(np.concatenate(logs).mean(0, dtype=np.float64)).astype(np.float32)

    def guess(frame: Sample) -> NDArray[np.float32]:
        height, width = frame.depth.shape
        grown = Image.fromarray(mean).resize((width, height), Image.Resampling.BILINEAR)
        if frame.camera is None:
            raise SystemExit("a street frame has no camera")
        return np.asarray(np.asarray(grown) * np.float32(frame.camera.fy / height))

    return guess


def model(name: str) -> Guess:
    estimator = glpn.load(name, precision="float32")
    return lambda frame: estimator(frame.image, camera=frame.camera).metres


def scores(guess: Guess, frames: Sequence[Sample]) -> dict[str, float]:
    rows = []
    for frame in frames:
        valid = (frame.depth > 0) & (frame.depth <= FAR)
        metres = guess(frame).clip(1e-3, FAR)
        scale = np.median(frame.depth[valid]) / np.median(metres[valid])
        plain, scaled = (
            pixel_sums(m, frame.depth, valid).metrics() for m in (metres, metres * scale)
        )
        rows.append((plain.delta1, plain.abs_rel, scaled.delta1, scaled.abs_rel))
    names = ("delta1", "abs_rel", "delta1_scaled", "abs_rel_scaled")
    return dict(zip(names, np.mean(rows, axis=0).round(3).tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--models", nargs="+", default=["glpn-b0-rooms", "glpn-b0-indoor"])
    parser.add_argument("--floor", type=int, default=400, metavar="STREETS")
    arguments = parser.parse_args()
    frames = list(open_dataset(arguments.folder))
    guesses = {"floor": floor(arguments.floor)} | {n: model(n) for n in arguments.models}
    for name, guess in guesses.items():
        print(json.dumps({"model": name, "frames": len(frames), **scores(guess, frames)}))


if __name__ == "__main__":
    main()
