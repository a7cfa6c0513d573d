"""How far metres move when a JPEG is read no larger than the network needs.

    python benchmarks/draft.py ../shared/data/nyu795/rgb [--frames 24] [--json draft.json]

A folder of photographs of 640×480 is predicted from all pixels and from what the decoder shrinks
them to, with the bundled weights. The network's short side is set so that the shrunk picture has
about 1, 1.5 and 2 times its pixels a side (a multiple of 32). The figure is the mean of
|d' - d| / d.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

import glpn
from glpn.image.photo import read_photo

SHRUNK = 240  # pixels of the short side of a 640×480 photograph at half its size
MARGINS = (1, 1.5, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=24, help="evenly chosen")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    photos = sorted(options.folder.glob("*.jpg"))
    photos = photos[:: max(len(photos) // options.frames, 1)][: options.frames]
    estimator = glpn.load()
    rows = []
    for margin in MARGINS:
        side = round(SHRUNK / margin / 32) * 32
        estimator.processor = dataclasses.replace(estimator.processor, short_side=side)
        moved = []
        for path in photos:
            small = read_photo(
                path, min_decode_size=lambda height, width: (height // 2, width // 2)
            )
            metres = estimator(path).metres
            moved.append(float(np.mean(np.abs(estimator(small).metres / metres - 1))))
        row = {"times_the_input": SHRUNK / side, "mean": np.mean(moved), "worst": max(moved)}
        rows.append(row)
        print(
            f"{row['times_the_input']:.2f} times the input ({side} pixels): "
            f"mean {row['mean']:.2%}, worst of {len(moved)} photographs {row['worst']:.2%}"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
