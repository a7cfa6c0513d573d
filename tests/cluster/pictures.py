"""Small photographs, a job over them, and what `glpn predict` makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from glpn.cli import main
from glpn.engines.options import EngineOptions
from glpn.jobs import JobSpec

ENGINE = EngineOptions(engine="onnxruntime", device="cpu", threads=1)


def write_photos(folder: Path, count: int, side: int = 64) -> Path:
    """`count` different photos, named 000.jpg, 001.jpg, …"""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        coarse.resize((side * 3 // 2, side)).save(folder / f"{number:03d}.jpg", quality=90)
    return folder


def job_for(destination: object) -> JobSpec:
    """16-bit PNGs as `glpn predict` writes them."""
    formats = {"png16": {"scale": 1000.0}}
    return JobSpec(ENGINE, str(destination), formats)


def predict(photos: Path, folder: Path, *more: object) -> dict[str, bytes]:
    """Name → bytes of the files of `glpn predict`, with more options perhaps."""
    options = ["--format", "png16", "--threads", "1", "--engine", "onnxruntime", "-q"]
    assert main(["predict", str(photos), "-o", str(folder), *options, *map(str, more)]) == 0
    return {path.name: path.read_bytes() for path in folder.glob("*.png")}
