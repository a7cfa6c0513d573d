"""Find frames: match a folder's files with patterns, and pair images with depth files."""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from glpn.camera.intrinsics import DATASET_SOURCE, Intrinsics
from glpn.camera.intrinsics_files import read_intrinsics
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.depthmaps import SUFFIXES as DEPTH_SUFFIXES
from glpn.data.frames import IMAGE_SUFFIXES, Frame, counted
from glpn.data.ibims import SCENE_SUFFIX
from glpn.errors import ConfigError, DataError, MissingInput

_TOKEN = re.compile(r"(\*\*/|\*|\{scene:path\}/|\{\w+\})")
_ANY_SCENE = "{scene:path}/"

Key = tuple[tuple[str, str], ...]  # matches of the names in braces, sorted by name


@dataclass(frozen=True)
class Match:
    """A file that matches a pattern."""

    path: Path
    groups: Mapping[str, str]


def list_frames(root: Path, spec: DatasetSpec) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """All frames under `root` by name, and notes on omitted files.

    Raises:
        MissingInput: there is no frame, or (unless `spec.unpaired` is "skip") images or depth
            files lack their counterpart; the message has their number and the first names.
        DataError: two files claim the same frame.
    """
    images = find(root, spec.rgb, _suffixes(spec.rgb, IMAGE_SUFFIXES))
    depths = find(root, spec.depth, _suffixes(spec.depth, DEPTH_SUFFIXES))
    if not images or not depths:
        absent = f"images ({spec.rgb})" if not images else f"depth files ({spec.depth})"
        raise MissingInput(f"{root}: no {absent}; {len(images)} images, {len(depths)} depth files")
    pair = _pair_by_time if spec.pairing == "time" else _pair_by_name
    pairs, lonely = pair(root, images, depths)
    if (lonely and spec.unpaired == "refuse") or not pairs:
        raise MissingInput(f"{root}: {counted(lonely, 'file')} without counterpart")
    notes = (f"left out: {counted(lonely, 'file')} without counterpart",) if lonely else ()
    return tuple(_frame(root, spec, image, depth) for image, depth in pairs), notes


def frame_at(root: Path, spec: DatasetSpec, image: Path, depth: Path) -> Frame:
    """The frame of two listed files, with the parts of its name that the rgb pattern matches.

    Raises:
        DataError: the pattern does not match, so the path of the mask is unknown.
    """
    relative = image.relative_to(root).as_posix()
    match = _compile(spec.rgb).fullmatch(relative)
    if match is not None:
        groups = {key: value for key, value in match.groupdict().items() if value is not None}
        return _frame(root, spec, Match(image, groups), Match(depth, {}))
    if spec.mask is not None:
        raise DataError(f"{relative}: does not fit {spec.rgb!r}, so it names no mask")
    name = relative.rpartition(".")[0]
    return Frame(
        name=name,
        image=image,
        depth=depth,
        scene=relative.rpartition("/")[0] or None,
        intrinsics=_intrinsics(root, spec, {}, name),
    )


def find(root: Path, pattern: str, suffixes: tuple[str, ...]) -> list[Match]:
    """The files under `root` that match a pattern of `DatasetSpec`, sorted by path."""
    regex = _compile(pattern)
    fixed = pattern[: _first_token(pattern)].rpartition("/")[0]
    found = []
    for relative in _walk(root, fixed):
        if relative.lower().endswith(suffixes) and (match := regex.fullmatch(relative)):
            groups = {key: value for key, value in match.groupdict().items() if value is not None}
            found.append(Match(root / relative, groups))
    return found


def _suffixes(pattern: str, usual: tuple[str, ...]) -> tuple[str, ...]:
    """The allowed suffixes of a pattern's files; `.mat` only if the pattern ends in it."""
    return (SCENE_SUFFIX,) if pattern.endswith(SCENE_SUFFIX) else usual


def fill(pattern: str, groups: Mapping[str, str]) -> str:
    """The pattern with its names in braces replaced by their matches."""

    def value(match: re.Match[str]) -> str:
        piece = match.group()
        if piece == _ANY_SCENE:
            return f"{groups['scene']}/" if "scene" in groups else ""
        name = piece.strip("{}")
        if name not in groups:
            raise ConfigError(f"{pattern!r}: {piece} does not occur in the rgb pattern")
        return groups[name]

    return _TOKEN.sub(value, pattern)


def _first_token(pattern: str) -> int:
    token = _TOKEN.search(pattern)
    return token.start() if token else len(pattern)


def _compile(pattern: str) -> re.Pattern[str]:
    if "{" not in pattern and "*" in pattern:  # a plain glob: its first star in the name is {stem}
        folder, slash, name = pattern.rpartition("/")
        pattern = folder + slash + name.replace("*", "{stem}", 1)
        pattern += "" if "." in name else ".*"
    seen: set[str] = set()

    def regex(piece: str) -> str:
        if piece == "**/":
            return "(?:.*/)?"
        if piece == "*":
            return "[^/]*"
        if piece == _ANY_SCENE:
            return "(?:(?P<scene>.+)/)?"
        name = piece.strip("{}")
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>[^/]+)"

    parts = _TOKEN.split(pattern)
    text = "".join(regex(part) if i % 2 else re.escape(part) for i, part in enumerate(parts))
    return re.compile(text, re.IGNORECASE)


def _walk(root: Path, below: str) -> Iterator[str]:
    """Sorted relative paths of all files; links are followed, each folder is visited once.

    Hidden files and folders are left out: macOS puts `._000.png` beside `000.png` on other disks.
    """
    visited: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root / below, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if name[0] != ".")
        prefix = Path(folder).relative_to(root).as_posix()
        for name in sorted(name for name in files if name[0] != "."):
            yield name if prefix == "." else f"{prefix}/{name}"


Pairs = tuple[list[tuple[Match, Match]], list[str]]


def _pair_by_name(root: Path, images: list[Match], depths: list[Match]) -> Pairs:
    shared = set(images[0].groups) & set(depths[0].groups)
    for match in (*images, *depths):
        shared |= {"scene"} if "scene" in match.groups else set()
    key = _key_of(shared)
    depth_of = _unique(root, depths, key)
    image_of = _unique(root, images, key)
    pairs = [(image, depth_of[k]) for k, image in image_of.items() if k in depth_of]
    unpaired = [image for k, image in image_of.items() if k not in depth_of]
    unpaired += [depth for k, depth in depth_of.items() if k not in image_of]
    return pairs, [_shown(root, match) for match in unpaired]


def _key_of(names: set[str]) -> Callable[[Match], Key]:
    ordered = sorted(names)
    return lambda match: tuple((name, match.groups.get(name, "")) for name in ordered)


def _unique(root: Path, matches: list[Match], key: Callable[[Match], Key]) -> dict[Key, Match]:
    found: dict[Key, Match] = {}
    for match in matches:
        other = found.setdefault(key(match), match)
        if other is not match:
            raise DataError(
                f"{_shown(root, other)} and {_shown(root, match)} have the name of one frame"
            )
    return found


def _pair_by_time(root: Path, images: list[Match], depths: list[Match]) -> Pairs:
    """Each image with the depth file nearest in time, if within half a depth interval."""
    stamped = sorted((_stamp(match), match.path, match) for match in depths)
    times = [time for time, _, _ in stamped]
    gap = float(np.median(np.diff(times))) / 2 if len(times) > 1 else float("inf")
    pairs, lonely = [], []
    for image in images:
        time = _stamp(image)
        after = bisect_left(times, time)
        near = min(
            (i for i in (after - 1, after) if 0 <= i < len(times)),
            key=lambda i: abs(times[i] - time),
        )
        if abs(times[near] - time) <= gap:
            pairs.append((image, stamped[near][2]))
        else:
            lonely.append(_shown(root, image))
    return pairs, lonely


def _stamp(match: Match) -> float:
    try:
        return float(match.groups["stem"])
    except (KeyError, ValueError):
        raise DataError(f"{match.path}: expected a time stamp for a name") from None


def _frame(root: Path, spec: DatasetSpec, image: Match, depth: Match) -> Frame:
    name = "/".join(image.groups.values()) or image.path.stem
    return Frame(
        name=name,
        image=image.path,
        depth=depth.path,
        scene=image.groups.get("scene"),
        intrinsics=_intrinsics(root, spec, image.groups, name),
        mask=root / fill(spec.mask, image.groups) if spec.mask is not None else None,
    )


def _intrinsics(
    root: Path, spec: DatasetSpec, groups: Mapping[str, str], name: str
) -> Intrinsics | None:
    """The intrinsics that `spec` gives to a frame; None if the frame's own file is missing."""
    if not isinstance(spec.intrinsics, str):
        return spec.camera
    own = "{" in spec.intrinsics
    if own and not groups:
        return None
    path = root / fill(spec.intrinsics, groups)
    if own and not path.is_file():
        return None
    read = read_intrinsics(path, groups.get("stem", name), source=DATASET_SOURCE)
    return replace(read, size=spec.intrinsics_size) if read.size is None else read


def _shown(root: Path, match: Match) -> str:
    return match.path.relative_to(root).as_posix()
