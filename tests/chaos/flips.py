"""Flip study: does a changed byte in a model's folder ever change the metres unnoticed?

    python -m tests.chaos.flips [--bytes 300] [--model glpn-b0-indoor]

Each file of a copy of the model is changed in one random byte at a time, and the model is opened
and run. A change counts as detected if opening fails with an error of glpn or warns of an edited
file. An undetected change is harmless if the metres keep their bits, and silent otherwise.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import glpn
from glpn import weights
from glpn.errors import GLPNError


def study(folder: Path, count: int, *, seed: int = 0) -> dict[str, Counter[str]]:
    """File → how many changes were detected, harmless and silent; the folder is left as it was."""
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    expected = outcome(folder, image, None)
    rng = random.Random(seed)
    found = {}
    for file in sorted(folder.iterdir()):
        if file.suffix == ".md":  # the model's card
            continue
        content = file.read_bytes()
        found[file.name] = Counter(
            outcome_of_change(file, content, rng, image, expected) for _ in range(count)
        )
        file.write_bytes(content)
    return found


def outcome_of_change(
    file: Path, content: bytes, rng: random.Random, image: np.ndarray, expected: Any
) -> str:
    """Change one byte of a file to another value, and tell what becomes of it."""
    changed = bytearray(content)
    place = rng.randrange(len(content))
    changed[place] = (changed[place] + rng.randrange(1, 256)) % 256
    file.write_bytes(changed)
    return outcome(file.parent, image, expected)


def outcome(folder: Path, image: np.ndarray, expected: Any) -> Any:
    """The metres' bytes where nothing is expected; else "detected", "harmless" or "silent"."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", weights.EditedFileWarning)
        try:
            metres = glpn.load(folder, engine="onnxruntime", threads=1).metres(image).tobytes()
        except (GLPNError, weights.EditedFileWarning):
            if expected is None:
                raise
            return "detected"
    if expected is None:
        return metres
    return "harmless" if metres == expected else "silent"


def main() -> int:
    """Print a table; exit with 1 if any change was silent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=300, help="changes for each file")
    parser.add_argument("--model", default="glpn-b0-indoor")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        copy = shutil.copytree(weights.resolve(given.model), Path(scratch, "model"))
        found = study(copy, given.bytes)
    for name, counts in found.items():
        counted = ", ".join(f"{counts[kind]} {kind}" for kind in ("detected", "harmless", "silent"))
        print(f"{name:26} {counted}")
    return int(any(counts["silent"] for counts in found.values()))


if __name__ == "__main__":
    sys.exit(main())
