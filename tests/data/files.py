"""Small image and depth files for datasets made by tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (24, 32)


def put_image(path: Path, size: tuple[int, int] = SIZE, value: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def put_depth(path: Path, size: tuple[int, int] = SIZE, raw: int | np.ndarray = 2000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = raw if isinstance(raw, np.ndarray) else np.full(size, raw, np.uint16)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


def put_pairs(root: Path, stems: Iterable[str], **options: Any) -> None:
    for stem in stems:
        put_image(root / f"rgb/{stem}.jpg")
        put_depth(root / f"depth/{stem}.png", **options)
