"""Photographs of rooms that anyone may show: views cut from CC0 panoramas.

    npm pack @pmndrs/assets && tar xzf pmndrs-assets-*.tgz      # CC0, from polyhaven.com
    pip install OpenEXR
    python benchmarks/panoramas.py package/hdri VIEWS [--beside-rooms SHEET.jpg] [--anywhere N]

Writes VIEWS/*.jpg: perspective views of 320×240 with their focal length in the EXIF data, which
`glpn` reads. The panoramas have 512×256 pixels, so the views are soft: a pixel of the panorama is
about three of the view. The sheet shows 64 rendered rooms, and 64 such views of seven interiors.
`--anywhere` writes N views at random instead: two in three of interiors, with fields of view from
60° to 110°; `recipes/bundled` trains on them.
"""

from __future__ import annotations

import argparse
import base64
import math
import re
from pathlib import Path

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import map_coordinates, maximum_filter

from glpn.synthetic import render

WIDTH, HEIGHT = 320, 240
FIELD = math.radians(75)  # of view, across
DIAGONAL_35MM = math.hypot(36, 24)
FOCAL_IN_35MM = 0xA405  # EXIF tag
EXIF = 0x8769  # the directory that holds it

VIEWS = {  # degrees: to the right of the panorama's middle, and down
    "apartment": [(-55, 5), (45, 5), (-125, 5), (110, 8)],
    "lobby": [(30, 12), (-60, 12), (140, 8)],
    "lab": [(20, 12), (-60, 10)],
    "workshop": [(-80, 10), (70, 8)],
    "hall": [(-120, 8)],
    "warehouse": [(-30, 5)],
    "studio": [(70, 5)],
    "city": [(20, 5)],
    "forest": [(0, 5)],
}

INTERIORS = ("apartment", "lobby", "lab", "workshop", "hall", "warehouse", "studio")
THUMBNAIL = (72, 96)  # rows and columns of a picture in the sheet
SIDE = 8  # pictures in a row of each half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("panoramas", type=Path)
    parser.add_argument("views", type=Path)
    parser.add_argument("--beside-rooms", type=Path)
    parser.add_argument("--anywhere", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    arguments.views.mkdir(parents=True, exist_ok=True)
    if arguments.anywhere:
        write_anywhere(arguments.panoramas, arguments.views, arguments.anywhere)
        return
    exif = Image.Exif()
    focal = WIDTH / 2 / math.tan(FIELD / 2)
    exif.get_ifd(EXIF)[FOCAL_IN_35MM] = round(focal / math.hypot(WIDTH, HEIGHT) * DIAGONAL_35MM)
    for name, directions in VIEWS.items():
        panorama = read(arguments.panoramas / f"{name}.exr.js")
        for number, (right, down) in enumerate(directions):
            picture = developed(view(panorama, math.radians(right), math.radians(down)))
            path = arguments.views / f"{name}{number}.jpg"
            Image.fromarray(picture).save(path, quality=92, exif=exif)
    if arguments.beside_rooms is not None:
        ours, real = gathered(rooms()), gathered(interiors(arguments.panoramas))
        gap = np.full_like(ours[:, :12], 255)
        Image.fromarray(np.hstack([ours, gap, real])).save(arguments.beside_rooms, quality=85)


def write_anywhere(folder: Path, views: Path, count: int) -> None:
    """Views of all panoramas in random directions: a function of their number."""
    names = sorted(path.name.removesuffix(".exr.js") for path in folder.glob("*.exr.js"))
    inside = [name for name in names if name in INTERIORS]
    outside = [name for name in names if name not in INTERIORS]
    panoramas = {name: read(folder / f"{name}.exr.js") for name in names}
    for number in range(count):
        rng = np.random.default_rng(number)
        name = str(rng.choice(inside if number % 3 else outside))
        light = view(
            panoramas[name],
            rng.uniform(0, 2 * math.pi),
            math.radians(rng.uniform(-15, 30)),
            roll=math.radians(rng.normal(0, 4)),
            field=math.radians(rng.uniform(60, 110)),
        )
        picture = Image.fromarray(developed(light))
        picture.save(views / f"anywhere{number:05d}_{name}.jpg", quality=92)


def rooms() -> list[NDArray[np.uint8]]:
    """The first 64 rooms."""
    return [*render(range(SIDE * SIDE), (HEIGHT, WIDTH)).image.numpy()]


def interiors(folder: Path) -> list[NDArray[np.uint8]]:
    """64 views, evenly all round each of the panoramas."""
    panoramas = [read(folder / f"{name}.exr.js") for name in INTERIORS]
    around = SIDE * SIDE / len(panoramas)
    return [
        developed(view(panoramas[i % len(panoramas)], 2 * math.pi * (i // len(panoramas)) / around))
        for i in range(SIDE * SIDE)
    ]


def gathered(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One picture of SIDE × SIDE small ones."""
    rows, columns = THUMBNAIL
    small = [
        np.array(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BOX))
        for picture in pictures
    ]
    table = np.stack(small).reshape(SIDE, SIDE, rows, columns, 3)
    return np.asarray(table.swapaxes(1, 2).reshape(SIDE * rows, SIDE * columns, 3))


def read(path: Path) -> NDArray[np.float32]:
    """Linear RGB [H, W, 3] of an EXR file that stands in a JavaScript module."""
    found = re.search(r"base64,([A-Za-z0-9+/=]+)", path.read_text())
    if found is None:
        raise SystemExit(f"{path}: no picture inside")
    scratch = path.with_suffix("")
    scratch.write_bytes(base64.b64decode(found[1]))
    light = np.asarray(OpenEXR.File(str(scratch)).channels()["RGB"].pixels, np.float32)
    broken = np.asarray(
        ~np.isfinite(light).all(-1) | (light <= 0).any(-1)
    )  # the compression's, round lamps
    light[broken] = 0
    around = maximum_filter(light, size=(5, 5, 1), mode="wrap")
    return np.where(broken[..., None], around, light).clip(1e-4)


def view(
    panorama: NDArray[np.float32],
    right: float,
    down: float = 0.1,
    *,
    roll: float = 0.0,
    field: float = FIELD,
) -> NDArray[np.float32]:
    """What a pinhole camera in the middle of an equirectangular panorama sees."""
    focal = WIDTH / 2 / math.tan(field / 2)
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5 - WIDTH / 2, np.arange(HEIGHT) + 0.5 - HEIGHT / 2)
    x, y = x * math.cos(roll) - y * math.sin(roll), x * math.sin(roll) + y * math.cos(roll)
    forward = focal * math.cos(down) - y * math.sin(down)
    below = focal * math.sin(down) + y * math.cos(down)
    longitude = np.arctan2(x, forward) + right
    latitude = np.arctan2(below, np.hypot(x, forward))
    rows, columns, _ = panorama.shape
    at = [
        (latitude / math.pi + 0.5) * rows - 0.5,
        (longitude / (2 * math.pi) + 0.5) * columns - 0.5,
    ]
    log = np.log(panorama)  # a lamp must not ring
    channels = [map_coordinates(log[..., c], at, order=3, mode="grid-wrap") for c in range(3)]
    return np.asarray(np.exp(np.stack(channels, -1)))


def developed(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Exposed for the median, highlights rolled off, sRGB's gamma."""
    exposed = 0.2 * light / np.median(light)
    exposed = exposed * (1 + exposed / 16) / (1 + exposed)
    return (255 * np.clip(exposed, 0, 1) ** (1 / 2.2)).astype(np.uint8)


if __name__ == "__main__":
    main()
