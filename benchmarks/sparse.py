"""How much sparse depth improves an estimate: AbsRel on the pixels that were not given.

    python benchmarks/sparse.py FOLDER [--spec FILE] [--points 200] [--stride 6] [--model NAME]

FOLDER is a dataset with depth. For each frame, the points are drawn at random from the pixels with
known depth; the errors are means over the frames, on all other pixels with known depth, without
alignment or crop. "a tenth wrong" multiplies every tenth point by a random factor of 0.22 to 4.5.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

import glpn
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.depth.sparse import fit_sparse


def abs_rel(prediction: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(np.abs(prediction - truth) / truth))


def errors(
    estimate: np.ndarray, truth: np.ndarray, count: int, rng: np.random.Generator
) -> dict[str, float]:
    """AbsRel of one frame for each way to use the points."""
    y, x = np.nonzero(truth)
    chosen = rng.choice(len(y), count, replace=False)
    points = np.stack([x[chosen], y[chosen], truth[y[chosen], x[chosen]]], axis=1).astype(float)
    rest = truth > 0
    rest[y[chosen], x[chosen]] = False
    fit = fit_sparse(estimate, points)
    scaled = np.maximum(fit.scale * estimate + fit.shift, 1e-3)
    wrong = points.copy()
    wrong[::10, 2] *= np.exp(rng.uniform(-1.5, 1.5, len(wrong[::10])))
    return {
        "no points": abs_rel(estimate[rest], truth[rest]),
        "scale and shift": abs_rel(scaled[rest], truth[rest]),
        "and local": abs_rel(fit.metres[rest], truth[rest]),
        "a tenth wrong": abs_rel(fit_sparse(estimate, wrong).metres[rest], truth[rest]),
        "leave-one-out": fit.error,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--spec")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--stride", type=int, default=6, help="use every n-th frame")
    parser.add_argument("--model", default="glpn-b0-indoor")
    arguments = parser.parse_args()
    estimator = glpn.load(arguments.model)
    spec = DatasetSpec.from_toml(arguments.spec) if arguments.spec else None
    frames = open_dataset(arguments.folder, spec)
    rng = np.random.default_rng(0)
    rows = []
    for index in range(0, len(frames), arguments.stride):
        sample = frames[index]
        truth = np.nan_to_num(sample.depth)
        if np.count_nonzero(truth) > 10 * arguments.points:
            estimate = estimator(sample.image).metres
            rows.append(errors(estimate, truth, arguments.points, rng))
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    print(json.dumps({"frames": len(rows), "points": arguments.points}))
    for name, value in means.items():
        print(json.dumps({"points used": name, "abs_rel": round(value, 4)}))
    for before in ("no points", "scale and shift"):
        print(f"{1 - means['and local'] / means[before]:.0%} lower than with {before}")


if __name__ == "__main__":
    main()
