"""NYU Depth V2's labelled file, nyu_depth_v2_labeled.mat: its frames extracted by split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.errors import DataError, MissingDependency, MissingInput
from glpn.files import atomic_file, require_writable_folder, safe_join

REAL_REGION = (7, 474, 7, 632)  # rows, then columns; the rest of the image is border
_JPEG_QUALITY = 95
_SPLIT_KEYS = {"train": "trainNdxs", "test": "testNdxs"}  # 1-based positions
_ARRAYS = ("images", "rawDepths", "sceneTypes")


def extract_nyu_labelled(
    mat: str | Path, splits: str | Path, out: str | Path, *, overwrite: bool = False
) -> dict[str, int]:
    """Write the labelled frames as `OUT/SPLIT/TYPE/rgb_00045.jpg` with `sync_depth_00045.png`.

    The number is the frame's position in the file, from 0. Images are black outside REAL_REGION.
    Depths are the raw ones: uint16 millimetres, 0 where the sensor has no measurement.

    Args:
        mat: nyu_depth_v2_labeled.mat (HDF5).
        splits: splits.mat, which lists the frames for training and for testing.
        out: folder for `train/` and `test/`.
        overwrite: replace existing files.

    Returns:
        The number of frames in each split.

    Raises:
        MissingInput: a file does not exist.
        DataError: a file is damaged or of another kind.
        MissingDependency: h5py or scipy is not installed.
        CannotCreateOutput, OutputFailed: the frames cannot be written.
    """
    split_of = _read_splits(Path(splits))
    written = dict.fromkeys(_SPLIT_KEYS, 0)
    for index, image, depth, kind in _frames(Path(mat)):
        split = split_of.get(index)
        if split is None:
            continue
        folder = require_writable_folder(safe_join(out, f"{split}/{kind}"))
        _write(folder / f"rgb_{index:05d}.jpg", _blackened(image), overwrite=overwrite)
        _write(folder / f"sync_depth_{index:05d}.png", _millimetres(depth), overwrite=overwrite)
        written[split] += 1
    return written


def _read_splits(path: Path) -> dict[int, str]:
    """Return "train" or "test" for each position, counted from 0."""
    if not path.is_file():
        raise MissingInput(f"{path}: no such file")
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise MissingDependency("reading splits.mat needs scipy", extra="train") from None
    try:
        values = loadmat(str(path))
        positions = {split: values[key].ravel() for split, key in _SPLIT_KEYS.items()}
    except (MatReadError, OSError, ValueError, TypeError, KeyError, NotImplementedError) as e:
        raise DataError(f"{path}: expected trainNdxs and testNdxs of NYU's splits: {e}") from None
    return {int(position) - 1: split for split, many in positions.items() for position in many}


def _frames(path: Path) -> Iterator[tuple[int, np.ndarray, np.ndarray, str]]:
    """Yield position, RGB [H, W, 3], raw depth in metres [H, W] and room type of each frame."""
    if not path.is_file():
        raise MissingInput(f"{path}: no such file")
    try:
        import h5py
    except ImportError:
        raise MissingDependency("reading the labelled file needs h5py", extra="train") from None
    try:
        with h5py.File(path, "r") as file:
            images, depths, kinds = (file[name] for name in _ARRAYS)
            for index in range(len(images)):
                letters = file[kinds[0, index]][:].ravel()
                # MATLAB stores arrays in column order, so HDF5 shows their axes reversed.
                yield index, images[index].T, depths[index].T, "".join(map(chr, letters))
    except (OSError, KeyError, ValueError, TypeError) as e:
        raise DataError(f"{path}: not NYU's labelled file ({', '.join(_ARRAYS)}): {e}") from None


def _blackened(image: np.ndarray) -> NDArray[np.uint8]:
    top, bottom, left, right = REAL_REGION
    kept = np.zeros(image.shape, np.uint8)
    kept[top:bottom, left:right] = image[top:bottom, left:right]
    return kept


def _millimetres(depth: np.ndarray) -> NDArray[np.uint16]:
    metres = np.where(np.isfinite(depth), depth, 0).astype(np.float64)
    return np.rint(np.clip(metres * 1000, 0, 65535)).astype(np.uint16)


def _write(path: Path, array: np.ndarray, *, overwrite: bool) -> None:
    with atomic_file(path, overwrite=overwrite) as file:
        kind = "JPEG" if path.suffix == ".jpg" else "PNG"
        Image.fromarray(array).save(file, format=kind, quality=_JPEG_QUALITY)
