"""Saves predictions as 16-bit PNG files and scores such files, as published evaluators do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glpn import files
from glpn.data.frames import some
from glpn.data.sample import Sample
from glpn.errors import DataError, MissingInput
from glpn.evaluation.pipeline import Task, task
from glpn.evaluation.protocols import Protocol, kb_crop
from glpn.evaluation.result import Result
from glpn.evaluation.runner import evaluate_tasks
from glpn.files.contents import Contents

PNG_SCALES = {"nyu": 1000, "kitti": 256}  # units per metre, as in the evaluator of Kim et al. 2022


def png_name(name: str) -> str:
    """Return a frame's file name; "_" joins its folders, as in the authors' evaluator."""
    return re.sub(r"[/\\]+", "_", name) + ".png"


def png_saver(
    folder: str | Path, *, scale: float, overwrite: bool = False
) -> Callable[[str, NDArray[np.floating]], None]:
    """Return a function for `evaluate(save=...)` that writes every prediction into `folder`.

    Raises:
        CannotCreateOutput, OutputFailed: the folder cannot be written, or a file exists already and
            `overwrite` is False.
        DataError: a prediction is not finite.
    """
    folder = files.require_writable_folder(folder)

    def save(name: str, prediction: NDArray[np.floating]) -> None:
        metres = prediction.astype(np.float32)
        if not np.isfinite(metres).all():
            raise DataError(f"{name}: a prediction that is not finite cannot be saved as PNG")
        contents = Contents(np.maximum(metres, 0), {})
        path = files.safe_join(folder, png_name(name))
        files.write(path, contents, format="png16", overwrite=overwrite, scale=scale)

    return save


def from_pngs(
    frames: Iterable[Sample],
    folder: str | Path,
    *,
    names: Sequence[str],
    scale: float,
    protocol: Protocol,
) -> Result:
    """Score saved predictions: `folder` holds `png_name(name)` for every frame and no other PNG.

    Args:
        frames: the frames of the dataset.
        folder: contains the PNG files, each of the image's size (or that of the KB crop).
        names: the names of all frames; checked against the folder before scoring starts.
        scale: units per metre; see `PNG_SCALES`. A 0 in a file is read as the nearest depth.
        protocol: the rules; flip averaging is impossible for saved predictions.

    Raises:
        MissingInput: the folder or some of its files are missing.
        DataError: there are extra files, two frames share a file, or a file is no 16-bit PNG of the
            right size.
    """
    folder = Path(folder)
    if protocol.flip:
        raise DataError("from_pngs: saved predictions cannot be flip-averaged")
    _require_complete(folder, names)

    def read(item: Task) -> NDArray[np.floating]:
        path = files.safe_join(folder, png_name(item.name))
        metres = files.read(path, scale=scale).metres
        if protocol.kb_crop and metres.shape != item.target.shape:
            metres = kb_crop(metres, name=str(path))
        prediction: NDArray[np.floating] = np.maximum(metres, np.float32(protocol.min_depth))
        return prediction

    tasks = (task(frame, protocol) for frame in frames)
    return evaluate_tasks(tasks, read, protocol, model=f"16-bit PNG files, scale {scale:g}")


def _require_complete(folder: Path, names: Sequence[str]) -> None:
    if not folder.is_dir():
        raise MissingInput(f"{folder}: no such folder of PNG predictions")
    wanted = [png_name(name) for name in names]
    repeated = sorted(name for name, count in Counter(wanted).items() if count > 1)
    if repeated:
        raise DataError(f"{folder}: frames share a file: {some(repeated)}")
    found = {path.name for path in folder.iterdir() if path.suffix.lower() == ".png"}
    missing, extra = sorted(set(wanted) - found), sorted(found - set(wanted))
    if missing:
        raise MissingInput(f"{folder}: {len(missing)} predictions are missing: {some(missing)}")
    if extra:
        raise DataError(f"{folder}: {len(extra)} files belong to no frame: {some(extra)}")
