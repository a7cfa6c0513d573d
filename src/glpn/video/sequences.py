"""Video output: a folder of 16-bit PNGs, one per frame, or of NPZ chunks."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from glpn.depth.depth import Depth
from glpn.errors import CannotCreateOutput, OutputFailed
from glpn.files import atomic_file, output_stems
from glpn.files.contents import METADATA_KEY, Contents
from glpn.files.paths import locked_folder, part_beside, remove_stale_parts
from glpn.video.reading import Frame, Video

CHUNK_BYTES = 64 << 20  # size of the metres in one NPZ
CHUNK_FRAMES = 250
_NUMBERED = re.compile(r"_\d{6,}\.(png|npz)")


@contextmanager
def new_folder(path: Path, stem: str, *, overwrite: bool) -> Iterator[Path]:
    """A hidden folder to fill. It takes its final name when the block ends without an error.

    Args:
        path: the final name. It may be an empty folder or, with overwrite, a folder with no files
            other than STEM_000001.png or .npz and so on.
        stem: the beginning of such names.
        overwrite: replace such a folder.

    Raises:
        CannotCreateOutput: something else exists there, or the folder cannot be created.
        OutputFailed: the folder cannot take its final name.
    """
    remove_stale_parts(path.parent)
    _require_free(path, stem, overwrite=overwrite)
    temporary = part_beside(path)
    try:
        temporary.mkdir()
    except (OSError, ValueError) as e:
        why = getattr(e, "strerror", None) or e
        raise CannotCreateOutput(f"{path}: cannot be created: {why}") from e
    try:
        with locked_folder(temporary):
            yield temporary
            _require_free(path, stem, overwrite=overwrite)  # another program may have filled it
            _put_in_place(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except OSError as e:
        raise OutputFailed(f"{path}: cannot be written: {e.strerror or e}") from e


def _require_free(path: Path, stem: str, *, overwrite: bool) -> None:
    """Refuse a path where anything exists besides frames that may be replaced."""
    if path.is_symlink() or not path.is_dir():
        if os.path.lexists(path):
            raise CannotCreateOutput(f"{path}: exists and is not a folder")
        return
    for name in sorted(os.listdir(path)):
        if not overwrite:
            raise CannotCreateOutput(
                f"{path}: exists already; --overwrite (overwrite=True) replaces it"
            )
        if not (name.startswith(stem) and _NUMBERED.fullmatch(name[len(stem) :])):
            raise CannotCreateOutput(f"{path}: not replaced, because it contains {name!r}")


@contextmanager
def png_frames(path: Path, video: Video, *, scale: float, overwrite: bool) -> Iterator[PngFrames]:
    """A folder of NAME_000001.png and so on, each of which `read_depth` reads.

    Raises:
        CannotCreateOutput, OutputFailed: as `new_folder`.
    """
    stem = output_stems([video.path])[0]
    with new_folder(path, stem, overwrite=overwrite) as folder:
        yield PngFrames(folder / stem, scale=scale)


class PngFrames:
    """Writes one 16-bit PNG per frame."""

    def __init__(self, stem: Path, *, scale: float) -> None:
        self.stem, self.scale = stem, scale

    def write(self, frame: Frame, depth: Depth) -> None:
        """One frame and its depth.

        Raises:
            UsageError: a pixel is too far away for 16 bits at this scale.
            OutputFailed: the disk is full.
        """
        path = self.stem.with_name(f"{self.stem.name}_{frame.index + 1:06}.png")
        depth.save(path, "png16", scale=self.scale)


@contextmanager
def npz_chunks(path: Path, video: Video, *, overwrite: bool) -> Iterator[NpzChunks]:
    """A folder of NPZ files, each numbered by its first frame.

    They hold `metres` float32 [N, H, W], `seconds` float64 [N], `intrinsics` [3, 3], `glpn` JSON.

    Raises:
        CannotCreateOutput, OutputFailed: as `new_folder`.
    """
    stem = output_stems([video.path])[0]
    with new_folder(path, stem, overwrite=overwrite) as folder:
        sink = NpzChunks(folder / stem, video)
        yield sink
        sink.finish()


class NpzChunks:
    """Gathers frames up to CHUNK_BYTES or CHUNK_FRAMES, then writes them as one NPZ."""

    def __init__(self, stem: Path, video: Video) -> None:
        self.stem, self.video = stem, video
        height, width = video.size
        count = int(np.clip(CHUNK_BYTES // (4 * height * width), 1, CHUNK_FRAMES))
        self._metres = np.empty((count, height, width), np.float32)
        self._seconds: list[float] = []
        self._first: tuple[Frame, Depth] | None = None  # first frame of the chunk

    def write(self, frame: Frame, depth: Depth) -> None:
        """One frame and its depth."""
        self._first = self._first or (frame, depth)
        self._metres[len(self._seconds)] = depth.metres
        self._seconds.append(float(frame.pts * self.video.time_base))
        if len(self._seconds) == len(self._metres):
            self.finish()

    def finish(self) -> None:
        """Write the frames gathered so far."""
        if self._first is None:
            return
        frame, depth = self._first
        camera = depth.camera
        metres = self._metres[: len(self._seconds)]
        contents = Contents(metres, {"camera": camera.record(), **vars(depth.provenance)})
        intrinsics = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
        arrays = {
            "metres": metres,
            "seconds": np.array(self._seconds),
            "intrinsics": np.array(intrinsics, np.float64),
            METADATA_KEY: np.array(contents.described()),
        }
        name = f"{self.stem.name}_{frame.index + 1:06}.npz"
        with atomic_file(self.stem.with_name(name)) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # the stubs take them for a flag
        self._first, self._seconds = None, []
