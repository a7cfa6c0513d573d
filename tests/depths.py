"""Small depth maps that several tests save and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from glpn import files
from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance

READABLE = ("png16", "npz", "exr", "tiff")
NAME = 'kü\udcffche\n"1".jpg'  # not UTF-8, a line break, quotes


def a_depth(size: tuple[int, int] = (24, 32), *, image: bool = True) -> Depth:
    """Noise between 0.6 and 9.4 m with a hole of unknown pixels; sigma up to 0.7 m."""
    rng = np.random.default_rng(0)
    metres = rng.uniform(0.6, 9.4, size).astype(np.float32)
    metres[1:3, 2:5] = 0
    return Depth(
        metres,
        Camera.from_fov(63.5, size, source="--fov 63.5"),
        Provenance("glpn-b0-indoor", "ab" * 32, "onnxruntime", "0.1.0", NAME, 10.0, "a note"),
        rng.integers(0, 256, (*size, 3), dtype=np.uint8) if image else None,
        rng.uniform(0, 0.7, size).astype(np.float32),
    )


def a_plane(metres: object, focal: float = 100) -> Depth:
    array = np.asarray(metres, np.float32)
    middle = (array.shape[1] - 1) / 2, (array.shape[0] - 1) / 2
    camera = Camera(focal, focal, *middle, "test")
    return Depth(array, camera, Provenance("m", "", "", ""))


def save(depth: Depth, folder: Path, format: str, **options: object) -> Path:
    path = folder / f"depth{files.FORMATS[format].suffix}"
    return depth.save(path, **options)
