"""Metric errors with the camera given and with the camera unknown.

    python benchmarks/known_focal.py FOLDER [FOLDER ...] [--model glpn-b0-indoor] [--stride 1]

FOLDER is a dataset with a known camera (K.txt, for example), or give --focal in pixels. Per-image
means over valid pixels, no alignment, no crop.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

import glpn
from glpn.data.datasets import open_dataset
from glpn.evaluation.metrics import depth_metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--focal", type=float, help="pixels, where the folder has no camera")
    parser.add_argument("--stride", type=int, default=1, help="use every n-th frame")
    arguments = parser.parse_args()
    estimator = glpn.load(arguments.model)
    for folder in arguments.folders:
        frames = open_dataset(folder)
        scores: dict[str, list[tuple[float, float]]] = {"unknown": [], "given": []}
        for index in range(0, len(frames), arguments.stride):
            sample = frames[index]
            camera = None if arguments.focal else sample.camera
            known = estimator(sample.image, camera=camera, focal=arguments.focal)
            for name, depth in (("unknown", estimator(sample.image)), ("given", known)):
                metrics = depth_metrics(depth.metres, sample.depth, sample.depth > 0)
                scores[name].append((metrics.delta1, metrics.abs_rel))
        for name, values in scores.items():
            delta1, abs_rel = np.mean(values, axis=0)
            row = {"folder": folder, "camera": name, "frames": len(values)}
            print(json.dumps({**row, "delta1": round(delta1, 3), "abs_rel": round(abs_rel, 3)}))


if __name__ == "__main__":
    main()
