"""How far reduced precisions deviate from float32 on photos that the precision check did not see.

    python benchmarks/reduced_elsewhere.py FOLDER [FOLDER …] [--model glpn-b0-indoor] [--most 30]

For each folder of photos and each reduced precision that this CPU computes and the model passed:
the mean of |reduced - float32| / float32 over the photos, and the largest of one photo.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import glpn
from glpn import weights
from glpn.engines.precision import available_precisions
from glpn.engines.registry import engine_row
from glpn.engines.selection import Candidate, open_candidate
from glpn.estimator import DepthEstimator
from glpn.export.quantize import find_photos
from glpn.image.photo import read_photo

ENGINE = "openvino"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--most", type=int, default=30, help="photographs of a folder")
    given = parser.parse_args()
    full = glpn.load(given.model, engine=ENGINE, precision="float32")
    folder = weights.resolve(given.model)
    kinds, obstacle = available_precisions(folder, engine_row(ENGINE))
    if not kinds:
        raise SystemExit(obstacle)
    reduced = {
        kind: DepthEstimator(
            open_candidate(folder, Candidate(ENGINE, kind)), full.processor, full.provenance
        )
        for kind in kinds
    }
    for photographs in given.folders:
        files = find_photos(photographs)
        files = files[:: -(-len(files) // given.most)]
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        for file in files:
            image = read_photo(file).pixels
            expected = full.metres(image)
            for kind, estimator in reduced.items():
                metres = estimator.metres(image)
                found[kind].append(float(np.mean(np.abs(metres - expected) / expected)))
        figures = ", ".join(
            f"{k} {np.mean(v):.2%} (at most {max(v):.2%})" for k, v in found.items()
        )
        print(f"{photographs}, {len(files)} photographs: {figures}", flush=True)


if __name__ == "__main__":
    main()
