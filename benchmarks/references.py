"""What measured references are worth: error after a scale, a free shift, and a shift held back.

    python benchmarks/references.py FOLDER [--spec FILE] [--list FILE] [--model glpn-b0-indoor]

FOLDER is a dataset with depth. References are pixels drawn at random, measured with 1 % of noise;
figures are means of AbsRel over the frames, each with 20 drawings, no alignment, no crop.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

import glpn
from glpn.camera import calibration
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset

COUNTS = (1, 2, 3, 5, 10, 20)
COSTS = {"free shift": 0.0, "held back": calibration.SHIFT_COST, "scale alone": 1e9}
DRAWINGS = 20
NOISE = 0.01
STRIDE = 4  # of pixels


def abs_rel(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(np.abs(prediction - truth) / truth))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--spec")
    parser.add_argument("--list")
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--stride", type=int, default=2, help="use every n-th frame")
    arguments = parser.parse_args()
    estimator = glpn.load(arguments.model)
    spec = DatasetSpec.from_toml(arguments.spec) if arguments.spec else None
    frames = open_dataset(arguments.folder, spec, frame_list=arguments.list)
    rng = np.random.default_rng(0)
    errors: dict[tuple[int, str], list[float]] = {}
    for index in range(0, len(frames), arguments.stride):
        sample = frames[index]
        predicted = np.asarray(estimator(sample.image).metres, np.float64)[::STRIDE, ::STRIDE]
        truth = sample.depth[::STRIDE, ::STRIDE].astype(np.float64)
        valid = truth > 0
        predicted, truth = predicted[valid], truth[valid]
        errors.setdefault((0, "none"), []).append(abs_rel(predicted, truth))
        for count in COUNTS:
            for _ in range(DRAWINGS):
                places = rng.integers(len(truth), size=count)
                measured = truth[places] * (1 + NOISE * rng.standard_normal(count))
                for name, cost in COSTS.items():
                    calibration.SHIFT_COST = cost
                    fit = calibration.fit_references(
                        predicted[places].tolist(),
                        measured.tolist(),
                        nearest=float(predicted.min()),
                    )
                    calibrated = fit.scale * predicted + fit.shift
                    errors.setdefault((count, name), []).append(abs_rel(calibrated, truth))
    for (count, name), values in errors.items():
        print(json.dumps({"references": count, "fit": name, "abs_rel": round(np.mean(values), 3)}))


if __name__ == "__main__":
    main()
