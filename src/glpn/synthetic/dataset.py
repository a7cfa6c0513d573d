"""Datasets: rendered scenes as a folder of images, depth maps and cameras."""

from __future__ import annotations

import io
import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import glpn
from glpn import files
from glpn.depth.colormaps import DEFAULT_COLORMAP, color_range, colorize
from glpn.depth.legend import MIN_HEIGHT, legend
from glpn.errors import UsageError
from glpn.records import read_json
from glpn.synthetic.furniture_models.catalogue import open_library
from glpn.synthetic.rendering.renderer import Rendering, render_scenes
from glpn.synthetic.scenes.sampling import sample_scenes
from glpn.synthetic.scenes.scene import Scene

PICTURES = 2  # version of the images: raised whenever the image of a seed changes
RECIPE_NAME = "synthetic.json"
PREVIEW_NAME = "preview.png"
CREDITS_NAME = "CREDITS.md"
JPEG_QUALITY = 95
SCALES = {"indoor": 1000.0, "street": 256.0}  # 16-bit steps per metre: to 65 m, to 255 m
_BATCH = 8
_PREVIEW = (6, 4)  # columns and rows of the contact sheet
_PREVIEW_WIDTH = 160  # pixels of one image on the contact sheet

# The description for glpn.data; {{stem}} is a placeholder there.
_DATASET_TOML = """\
rgb = "rgb/{{stem}}.jpg"
depth = "depth/{{stem}}.png"
scale = {scale:g}
intrinsics = "camera/{{stem}}.json"
"""


def write_dataset(
    folder: str | Path,
    count: int,
    *,
    seed: int = 0,
    size: tuple[int, int] = (480, 640),
    kind: str = "indoor",
    device: str = "cpu",
    views: int = 1,
    workers: int = 1,
    furniture: str | Path | None = None,
    cameras: str = "level",
) -> Iterator[int]:
    """Write the scenes seed … seed + count - 1 into a folder; yields the frames done so far.

    The folder gets `rgb/STEM.jpg`, `depth/STEM.png` (16-bit, SCALES steps per metre, 0 the sky),
    `camera/STEM.json` (fx, fy, cx, cy, and the distortion k1, k2), a `dataset.toml` that describes
    them, and a contact sheet. STEM is the seed; `views` consecutive ones show one place. Two
    `workers`, processes of one thread each, are faster than one with two threads. Existing frames
    are kept, so an interrupted run resumes. Nothing happens until you use the iterator.

    With a folder of `furniture`, rooms hold its models, and CREDITS.md names their creators.
    `cameras` are "level" or "handheld".

    Raises:
        UsageError: an impossible count, kind, number of views or of workers, or the folder holds
            another recipe's frames.
        MissingInput, DataError: the folder of furniture is missing or contains none.
        MissingDependency: furniture needs the extra "synthetic".
        CannotCreateOutput, OutputFailed: a file cannot be created, or not completed.
    """
    _require_possible((count, views, workers), kind)
    root = files.require_writable_folder(folder)
    for name in ("rgb", "depth", "camera"):
        files.require_writable_folder(root / name)
    recipe = {"kind": kind, "size": list(size), "views": views, "pictures": PICTURES}
    sample_scenes([], kind, furniture=furniture, cameras=cameras)  # rejects wrong options early
    if cameras != "level":
        recipe["cameras"] = cameras
    if furniture is not None:
        library = open_library(furniture)
        recipe["furniture"] = library.digest()
        files.write_file(root / CREDITS_NAME, library.credits().encode())
    _settle_recipe(root, {**recipe, "glpn": glpn.__version__})
    files.write_file(root / "dataset.toml", _DATASET_TOML.format(scale=SCALES[kind]).encode())
    seeds = range(seed, seed + count)
    missing = [number for number in seeds if not _complete(root, number)]
    done = count - len(missing)
    yield done
    parts = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
    sample = partial(sample_scenes, kind=kind, views=views, furniture=furniture, cameras=cameras)
    job = partial(_render_part, root, sample=sample, size=size, device=device, scale=SCALES[kind])
    for written in _each(job, parts, workers):
        done += written
        yield done
    files.write_file(root / PREVIEW_NAME, _png(_preview(root, seeds, SCALES[kind])))


def _require_possible(numbers: tuple[int, int, int], kind: str) -> None:
    """Refuse a count, views or workers below 1, and an unknown kind."""
    if min(numbers) < 1 or kind not in SCALES:
        wanted = f"count, views and workers of at least 1 and a kind of {', '.join(SCALES)}"
        got = f"{', '.join(map(str, numbers))} and {kind!r}"
        raise UsageError(f"synthetic dataset: expected {wanted}; got {got}")


def _each(job: Callable[[list[int]], int], parts: list[list[int]], workers: int) -> Iterator[int]:
    """Run the job on every part, in this process or in `workers` others."""
    if min(workers, len(parts)) <= 1:
        yield from map(job, parts)
        return
    spawn = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(workers, spawn, initializer=_use_one_thread) as pool:
        try:
            yield from pool.map(job, parts)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _render_part(
    root: Path,
    seeds: list[int],
    *,
    sample: Callable[[list[int]], list[Scene]],
    size: tuple[int, int],
    device: str,
    scale: float,
) -> int:
    """Render some frames, write them, and return their number."""
    rendering = render_scenes(sample(seeds), size, device)
    for place, number in enumerate(seeds):
        _write_frame(root, number, (rendering, place), scale=scale)
    return len(seeds)


def _settle_recipe(root: Path, recipe: dict[str, object]) -> None:
    """Record the recipe of the frames; reject a folder with frames of another one."""
    path = root / RECIPE_NAME
    if path.exists():
        found = read_json(path)
        if found != recipe:
            raise UsageError(
                f"{root}: contains frames of {found}, not of {recipe}; choose a new folder"
            )
    else:
        files.write_file(path, json.dumps(recipe).encode())


def _paths(root: Path, number: int) -> tuple[Path, Path, Path]:
    stem = f"{number:07d}"
    return (
        root / "rgb" / f"{stem}.jpg",
        root / "depth" / f"{stem}.png",
        root / "camera" / f"{stem}.json",
    )


def _complete(root: Path, number: int) -> bool:
    return all(path.is_file() for path in _paths(root, number))


def _write_frame(root: Path, number: int, picture: tuple[Rendering, int], *, scale: float) -> None:
    rendering, place = picture
    rgb, depth, camera = _paths(root, number)
    buffer = io.BytesIO()
    image = Image.fromarray(rendering.image[place].cpu().numpy())
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    files.write_file(rgb, buffer.getvalue())
    steps = (rendering.depth[place].cpu().numpy() * scale).round()
    files.write_file(depth, _png(np.where(steps <= 65535, steps, 0).astype(np.uint16)))
    lens = rendering.cameras[place]
    k1, k2 = rendering.distortion[place].tolist()
    values = {"fx": lens.fx, "fy": lens.fy, "cx": lens.cx, "cy": lens.cy, "k1": k1, "k2": k2}
    files.write_file(camera, json.dumps(values).encode())


def _preview(root: Path, seeds: range, scale: float) -> NDArray[np.uint8]:
    """A contact sheet of the first frames, each beside its depth, and one legend for all."""
    images, maps = [], []
    for number in seeds[: _PREVIEW[0] * _PREVIEW[1]]:
        rgb, depth, _ = _paths(root, number)
        with Image.open(rgb) as image, Image.open(depth) as raw:
            height = max(1, round(_PREVIEW_WIDTH * image.height / image.width))
            small = image.resize((_PREVIEW_WIDTH, height), Image.Resampling.BOX)
            metres = (
                np.asarray(raw.resize(small.size, Image.Resampling.NEAREST), np.float32) / scale
            )
            images.append(np.asarray(small))
            maps.append(metres)
    near, far = color_range(np.vstack(maps))
    colored = (colorize(metres, near=near, far=far) for metres in maps)
    tiles = [np.hstack(pair) for pair in zip(images, colored, strict=True)]
    columns = min(_PREVIEW[0], len(tiles))
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    sheet = np.vstack(rows)
    if len(sheet) < MIN_HEIGHT:
        return sheet
    return np.hstack([sheet, legend(len(sheet), DEFAULT_COLORMAP, near, far)])


def _png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()
