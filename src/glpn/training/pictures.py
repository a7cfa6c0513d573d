"""Sample pictures: photograph, measured depth and prediction side by side, one row a frame."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from glpn.depth.colormaps import colorize
from glpn.files import atomic_file, require_writable_folder
from glpn.training.validate import Picture

_TILE = (320, 240)  # width and height that a picture is shrunk to fit


def write_pictures(pictures: Sequence[Picture], path: Path) -> None:
    """Write a PNG; both depths of a row share their colours' range.

    Raises:
        CannotCreateOutput, OutputFailed: it cannot be written.
    """
    width, height = _TILE
    sheet = Image.new("RGB", (3 * width, len(pictures) * height))
    for row, picture in enumerate(pictures):
        for column, tile in enumerate(_tiles(picture)):
            tile.thumbnail(_TILE, Image.Resampling.NEAREST)
            sheet.paste(tile, (column * width, row * height))
    require_writable_folder(path.parent)
    with atomic_file(path, overwrite=True) as file:
        sheet.save(file, format="PNG")


def _tiles(picture: Picture) -> list[Image.Image]:
    known = picture.target[picture.target > 0]
    near, far = (float(value) for value in np.percentile(known, (2, 98)))
    far = max(far, near + 1e-3)
    depths = (picture.target, picture.prediction)
    colours = [colorize(depth, near=near, far=far) for depth in depths]
    return [Image.fromarray(array) for array in (picture.image, *colours)]
