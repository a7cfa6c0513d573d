"""Metric errors with the camera given and with the camera unknown, and on crops.

    python benchmarks/known_focal.py FOLDER [FOLDER ...] [--model glpn-b0-indoor] [--stride 1]

FOLDER is a dataset that records its camera (K.txt, for example); otherwise give --focal in pixels.
Per-image means over valid pixels, no alignment, no crop. The last two rows compare the centre half
of each frame as part of the whole with the same pixels as a photo of their own, focal length given.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import glpn
from glpn.camera.camera import Camera
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.data.sample import Sample
from glpn.estimator import DepthEstimator
from glpn.evaluation.metrics import pixel_sums

MIN_VALID = 500  # pixels of the centre half

Row = tuple[str, NDArray[np.float32], NDArray[np.float32]]


def rows(estimator: DepthEstimator, sample: Sample, focal: float | None) -> Iterator[Row]:
    """Names, predicted and true metres of one frame."""
    image, truth = sample.image, sample.depth
    camera = (
        sample.camera if focal is None else Camera.from_focal(focal, truth.shape, source="given")
    )
    known = estimator(image, camera=camera).metres
    yield "unknown", estimator(image).metres, truth
    yield "given", known, truth
    height, width = truth.shape
    centre = (
        slice(height // 4, height // 4 + height // 2),
        slice(width // 4, width // 4 + width // 2),
    )
    if camera is None or (truth[centre] > 0).sum() < MIN_VALID:
        return
    crop = np.ascontiguousarray(image[centre])
    yield "given, centre half of the whole", known[centre], truth[centre]
    yield "given, centre half as a crop", estimator(crop, focal=camera.fy).metres, truth[centre]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--focal", type=float, help="pixels, where the folder has no camera")
    parser.add_argument("--spec", help="a dataset.toml; as found in the folder by default")
    parser.add_argument("--split", help="a list of the specification")
    parser.add_argument("--stride", type=int, default=1, help="use every n-th frame")
    arguments = parser.parse_args()
    estimator = glpn.load(arguments.model)
    spec = DatasetSpec.from_toml(arguments.spec) if arguments.spec else None
    for folder in arguments.folders:
        frames = open_dataset(folder, spec, split=arguments.split)
        scores: dict[str, list[tuple[float, float]]] = {}
        for index in range(0, len(frames), arguments.stride):
            for name, metres, truth in rows(estimator, frames[index], arguments.focal):
                metrics = pixel_sums(metres, truth, truth > 0).metrics()
                scores.setdefault(name, []).append((metrics.delta1, metrics.abs_rel))
        for name, values in scores.items():
            delta1, abs_rel = np.mean(values, axis=0)
            row = {"folder": folder, "focal length": name, "frames": len(values)}
            print(json.dumps({**row, "delta1": round(delta1, 3), "abs_rel": round(abs_rel, 3)}))


if __name__ == "__main__":
    main()
