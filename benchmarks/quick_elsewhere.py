"""How far quick precisions deviate from float32 on photographs that the gate did not see.

    python benchmarks/quick_elsewhere.py FOLDER [FOLDER …] [--model glpn-b0-indoor] [--most 30]

For each folder of photographs and each quick precision that this CPU computes and that passed for
the model: mean of |quick - exact| / exact over photographs, and the largest of one photograph.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import glpn
from glpn import weights
from glpn.engines.precision import quick_kinds
from glpn.engines.registry import open_candidate
from glpn.engines.selection import Candidate
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
    exact = glpn.load(given.model, engine=ENGINE, precision="exact")
    folder = weights.resolve(given.model)
    kinds, obstacle = quick_kinds(folder, ENGINE)
    if not kinds:
        raise SystemExit(obstacle)
    quick = {
        kind: DepthEstimator(
            open_candidate(folder, Candidate(ENGINE, kind)), exact.processor, exact.provenance
        )
        for kind in kinds
    }
    for photographs in given.folders:
        files = find_photos(photographs)
        files = files[:: -(-len(files) // given.most)]
        found: dict[str, list[float]] = {kind: [] for kind in kinds}
        for file in files:
            image = read_photo(file).pixels
            expected = exact.metres(image)
            for kind, estimator in quick.items():
                metres = estimator.metres(image)
                found[kind].append(float(np.mean(np.abs(metres - expected) / expected)))
        told = ", ".join(f"{k} {np.mean(v):.2%} (at most {max(v):.2%})" for k, v in found.items())
        print(f"{photographs}, {len(files)} photographs: {told}", flush=True)


if __name__ == "__main__":
    main()
