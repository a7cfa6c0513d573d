"""How often the true depth lies within one sigma, on frames that sigma was not fitted on.

    python benchmarks/coverage.py DATA MODEL [MODEL ...] [--write]

DATA holds nyu795, hololens_office and replica_apartment. The curve is measured on half of
nyu795/val.txt, in whole runs of neighbouring frames, and on 24 rendered rooms. It is checked on the
other half and on the two other cameras, with their focal lengths given. --write keeps the curve in
each MODEL, a copy of a bundled folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import glpn
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.data.frames import FrameSet
from glpn.data.sample import Sample
from glpn.depth.errors import ErrorCurve
from glpn.estimator import DepthEstimator
from glpn.evaluation.error_curve import measure_errors
from glpn.evaluation.protocols import Protocol, protocol, valid_mask
from glpn.synthetic import render
from glpn.weights import write_errors

# Runs of frames of val.txt between gaps in their numbers, about half of each of its five blocks.
FITTED = ((105, 115), (390, 398), (641, 654), (947, 955), (1265, 1283))
ROOMS = range(900_101, 900_125)  # no model was trained on these
ROOM_SIZE = (192, 256)
OTHERS = {
    "hololens_office": (DatasetSpec(scale=1000.0, invalid=(0.0,), intrinsics="K.txt"), 4),
    "replica_apartment": (
        DatasetSpec(scale=1000.0, invalid=(0.0,), intrinsics=(256.0, 256.0, 256.0, 256.0)),
        2,
    ),
}


def halves(frames: FrameSet) -> tuple[FrameSet, FrameSet]:
    """The frames that are fitted, and those that check."""
    numbers = [int(Path(name).stem) for name in frames.names]
    fitted = [any(low <= n <= high for low, high in FITTED) for n in numbers]
    return (
        frames.subset([i for i, chosen in enumerate(fitted) if chosen]),
        frames.subset([i for i, chosen in enumerate(fitted) if not chosen]),
    )


def rendered_rooms() -> list[Sample]:
    rooms = render(ROOMS, ROOM_SIZE)
    maps = zip(ROOMS, rooms.image.numpy(), rooms.depth.numpy(), rooms.cameras, strict=True)
    return [Sample(str(seed), image, depth, camera=cam) for seed, image, depth, cam in maps]


def coverage(
    frames: FrameSet, estimator: DepthEstimator, curve: ErrorCurve, rules: Protocol
) -> tuple[float, float]:
    """The fraction of pixels within one sigma: the mean over frames, and its standard deviation."""
    found = []
    for frame in frames:
        valid = valid_mask(rules, frame.depth)
        factor = estimator.focal_factor(frame.camera, frame.depth.shape)
        metres = estimator.metres(frame.image)[valid] * np.float32(factor)
        sigma = curve.scaled(factor).sigma(metres)
        found.append(float(np.mean(np.abs(frame.depth[valid] - metres) <= sigma)))
    return float(np.mean(found)), float(np.std(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    spec = DatasetSpec.from_toml(Path(__file__).parents[1] / "docs/nyu795.toml")
    fitted, checked = halves(open_dataset(arguments.data / "nyu795", spec, split="val"))
    rules = protocol("nyu")
    sets = {"other half of val.txt": (checked, rules)}
    for name, (described, stride) in OTHERS.items():
        frames = open_dataset(arguments.data / name, described)
        sets[name] = (frames.subset(range(0, len(frames), stride)), protocol("folder"))
    rooms = rendered_rooms()
    for model in arguments.models:
        estimator = glpn.load(model, engine="onnxruntime", threads=1)
        curve = measure_errors(
            (*fitted, *rooms), estimator, protocol=rules, data="NYU Depth V2 and rendered rooms"
        )
        if arguments.write:
            print(write_errors(Path(model), curve), curve.error, curve.longer, flush=True)
        for name, (frames, own) in sets.items():
            mean, spread = coverage(frames, estimator, curve, own)
            row = {"frames": len(frames), "within": round(mean, 3), "sd": round(spread, 3)}
            print(json.dumps({"model": model, "set": name, **row}), flush=True)


if __name__ == "__main__":
    main()
