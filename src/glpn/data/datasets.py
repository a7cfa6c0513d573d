"""Open a folder in any known layout as a FrameSet."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from glpn.camera.intrinsics import Intrinsics
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.frames import Frame, FrameSet, Reading, counted, plural, verify
from glpn.data.layouts import Layout, known_layout, recognise
from glpn.data.listing import frame_at, list_frames
from glpn.data.lists import Row, inside, read_list
from glpn.data.probing import calibrate
from glpn.errors import ConfigError, DataError, MissingInput, require_choice

SPLITS = ("train", "val", "test")

_LOG = logging.getLogger(__name__)


def open_dataset(
    root: str | Path,
    spec: DatasetSpec | str | None = None,
    *,
    frame_list: str | Path | None = None,
    split: str | None = None,
    verified: bool = True,
) -> FrameSet:
    """Open a folder of frames without decoding images.

    Args:
        root: the folder; every file of the set lies below it.
        spec: its layout, or the name of a known layout ("nyu", "kitti", "sunrgbd", ...); if None,
            recognised from its `dataset.toml` or its files.
        frame_list: a list file (see `lists.read_list`), relative to the working directory. The set
            holds its frames, in its order.
        split: "train" or "val": the list that the specification names.
        verified: check the headers of all files: they must exist and have matching sizes. The
            dataset check opens sets without it, to report on each frame.

    Returns:
        The frames, with notes (also logged) on the recognised layout, estimates and omissions.

    Raises:
        MissingInput: there is no frame, or files or a list are missing; the message says where to
            get a published list.
        DataError: sizes differ, the depth scale cannot be determined, or a listed path leads out
            of the root.
        ConfigError: the specification contradicts itself, no layout has that name, or both a list
            and a split are given.
    """
    root = Path(root)
    if frame_list is not None and split is not None:
        raise ConfigError(f"split: {split} cannot be combined with the list {frame_list}")
    layout = _layout(root, spec)
    path = _list_path(root, layout, split) if frame_list is None else Path(frame_list)
    frames, notes = _frames(root, layout.spec, path)
    notes = (f"{root}: {layout.title}, {plural(len(frames), 'frame')}", *notes)
    reading = Reading(
        layout.spec.depth_format, layout.spec.border, layout.spec.resize, layout.spec.crop
    )
    if verified:
        notes = (*notes, *verify(frames, reading))
    reading, warnings = calibrate(
        root, frames, reading, strict=verified, find_unknown=layout.spec.invalid is None
    )
    for sentence in notes:
        _LOG.info("%s", sentence)
    return FrameSet(frames, reading, name=str(root), notes=(*notes, *warnings))


def _layout(root: Path, spec: DatasetSpec | str | None) -> Layout:
    if spec is None:
        return recognise(root)
    if isinstance(spec, str):
        return known_layout(root, spec)
    return Layout("given", "as specified", (), spec)


def _list_path(root: Path, layout: Layout, split: str | None) -> Path | None:
    if split is None:
        return None
    require_choice("split", split, SPLITS, ConfigError)
    named = {"train": layout.spec.train, "val": layout.spec.val}.get(split)
    usual = root / f"{split}.txt"
    if named is not None:
        return inside(root, named)
    if usual.is_file():
        return usual
    source = f"; it is {layout.lists}" if layout.lists else ""
    raise MissingInput(f"{root}: no list for the split {split!r} ({usual.name}){source}")


def _frames(
    root: Path, spec: DatasetSpec, path: Path | None
) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    if path is None:
        return list_frames(root, spec)
    rows, without_depth = read_list(path)
    notes = (
        (f"{path}: {plural(without_depth, 'line')} without depth left out",)
        if without_depth
        else ()
    )
    if all(row.depth is None for row in rows):
        frames, more = list_frames(root, spec)
        return _by_name(root, path, frames, rows), (*notes, *more)
    return tuple(_from_row(root, spec, path, row) for row in rows), notes


def _by_name(
    root: Path, path: Path, frames: Sequence[Frame], rows: Sequence[Row]
) -> tuple[Frame, ...]:
    """The frames whose name or image is listed, with the other values of their lines.

    The last part of a name does if it is unique.
    """
    found: dict[str, list[Frame]] = {}
    for frame in frames:
        for last in {frame.name.rpartition("/")[2], frame.image.name}:
            found.setdefault(last, []).append(frame)
    for frame in frames:
        found[frame.name] = found[frame.image.relative_to(root).as_posix()] = [frame]
    names = [row.image.strip("/") for row in rows]
    absent = [name for name in names if name not in found]
    if absent:
        raise MissingInput(f"{path}: {counted(absent, 'listed frame')} not in the folder")
    unclear = [name for name in names if len(found[name]) > 1]
    if unclear:
        raise DataError(f"{path}: {counted(unclear, 'name')} of frames in several folders")
    return tuple(_completed(found[name][0], row) for name, row in zip(names, rows, strict=True))


def _from_row(root: Path, spec: DatasetSpec, path: Path, row: Row) -> Frame:
    if row.depth is None:
        raise DataError(f"{path}: {row.image}: names no depth file, as other lines do")
    image = inside(root, row.image, spec.bases)
    depth = inside(root, row.depth, spec.bases)
    return _completed(frame_at(root, spec, image, depth), row)


def _completed(frame: Frame, row: Row) -> Frame:
    """The frame with the other values of its line in the list."""
    intrinsics = frame.intrinsics
    if intrinsics is None and row.focal is not None:
        intrinsics = Intrinsics(row.focal, row.focal)
    return replace(frame, scene=row.scene or frame.scene, intrinsics=intrinsics)
