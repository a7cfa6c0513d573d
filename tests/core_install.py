"""Check a core install in its own environment, without pytest:

    python tests/core_install.py NAME METRES.npy

Predicts the example photo in float32, writes and reads formats of the core install, refuses a
damaged photo, and runs the command line. The first run stores its metres; each later one must agree
with them. Prints one table row: Python, NAME, versions, the largest relative difference.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np

import glpn

PHOTO = Path(__file__).parents[1] / "examples/lobby.jpg"
PACKAGES = ("numpy", "pillow", "onnxruntime", "huggingface_hub", "safetensors", "typer", "rich")


def main() -> None:
    """Run every check; print the row."""
    name, first = sys.argv[1], Path(sys.argv[2])
    estimator = glpn.load(engine="onnxruntime", precision="float32")
    depth = estimator(PHOTO)
    if not first.exists():
        np.save(first, depth.metres)
    expected = np.load(first)
    np.testing.assert_allclose(depth.metres, expected, rtol=1e-3)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".png", ".npz", ".tiff", ".vis.png"):
            depth.save(Path(folder, f"depth{suffix}"))
        np.testing.assert_array_equal(np.load(Path(folder, "depth.npz"))["metres"], depth.metres)
        command = [sys.executable, "-m", "glpn", "predict", str(PHOTO), "-o", folder]
        subprocess.run(command, check=True, capture_output=True)
    refuse_a_truncated_photo(estimator)
    versions = [metadata.version(package) for package in PACKAGES]
    difference = f"{np.abs(depth.metres / expected - 1).max():.1g}"
    print("| " + " | ".join([platform.python_version(), name, *versions, difference]) + " |")


def refuse_a_truncated_photo(estimator: glpn.DepthEstimator) -> None:
    """A damaged photo must raise an error of glpn's own."""
    try:
        estimator(PHOTO.read_bytes()[:5000])
    except glpn.GLPNError:
        return
    raise SystemExit("a truncated photo was accepted")


if __name__ == "__main__":
    main()
