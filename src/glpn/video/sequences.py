"""Films out: a folder of 16-bit PNGs, one a frame, or of NPZ chunks."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance
from glpn.errors import CannotCreateOutput, OutputFailed
from glpn.files import atomic_file, output_stems
from glpn.files.contents import METADATA_KEY, Contents
from glpn.video.reading import Film, Frame

CHUNK_BYTES = 64 << 20  # of metres in one NPZ
CHUNK_FRAMES = 250
_NUMBERED = re.compile(r"_\d{6,}\.(png|npz)")


@contextmanager
def new_folder(path: Path, stem: str, *, overwrite: bool) -> Iterator[Path]:
    """A hidden folder to fill, which takes the name when the block ends well.

    Args:
        path: the name. An empty folder may be there, or, with overwrite, one that holds nothing
            but files STEM_000001.png or .npz.
        stem: how such files begin.
        overwrite: replace such a folder.

    Raises:
        CannotCreateOutput: something else is there, or the folder cannot be made.
        OutputFailed: it cannot take its name.
    """
    _require_free(path, stem, overwrite=overwrite)
    temporary = path.with_name(f".glpn-{secrets.token_hex(8)}.part")
    try:
        temporary.mkdir()
    except (OSError, ValueError) as e:
        raise CannotCreateOutput(f"{path}: cannot be created: {e}") from e
    try:
        yield temporary
        try:
            if path.is_dir():
                shutil.rmtree(path)
            os.replace(temporary, path)
        except OSError as e:
            raise OutputFailed(f"{path}: cannot be written: {e.strerror or e}") from e
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _require_free(path: Path, stem: str, *, overwrite: bool) -> None:
    """Refuse a path where anything lies but frames that may be replaced."""
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
            raise CannotCreateOutput(f"{path}: will not be replaced, it holds {name!r}")


@contextmanager
def png_frames(
    path: Path, film: Film, provenance: Provenance, *, scale: float, overwrite: bool
) -> Iterator[PngFrames]:
    """A folder of NAME_000001.png and so on, each of which `read_depth` reads.

    Raises:
        CannotCreateOutput, OutputFailed: as `new_folder`.
    """
    stem = output_stems([film.path])[0]
    with new_folder(path, stem, overwrite=overwrite) as folder:
        yield PngFrames(folder / stem, film, provenance, scale=scale)


class PngFrames:
    """A 16-bit PNG a frame."""

    def __init__(self, stem: Path, film: Film, provenance: Provenance, *, scale: float) -> None:
        self.stem, self.film, self.provenance, self.scale = stem, film, provenance, scale

    def write(self, frame: Frame, metres: NDArray[np.float32]) -> None:
        """One frame, and its metres [H, W].

        Raises:
            UsageError: some pixel is too far for 16 bits at this scale.
            OutputFailed: the disk is full.
        """
        provenance = _provenance(self.provenance, self.film, frame)
        depth = Depth(metres, Camera.assumed(self.film.size), provenance)
        path = self.stem.with_name(f"{self.stem.name}_{frame.index + 1:06}.png")
        depth.save(path, "png16", scale=self.scale)


@contextmanager
def npz_chunks(
    path: Path, film: Film, provenance: Provenance, *, overwrite: bool
) -> Iterator[NpzChunks]:
    """A folder of NPZ files, each numbered by its first frame.

    They hold `metres` float32 [N, H, W], `seconds` float64 [N], `intrinsics` [3, 3], `glpn` JSON.

    Raises:
        CannotCreateOutput, OutputFailed: as `new_folder`.
    """
    stem = output_stems([film.path])[0]
    with new_folder(path, stem, overwrite=overwrite) as folder:
        sink = NpzChunks(folder / stem, film, provenance)
        yield sink
        sink.finish()


class NpzChunks:
    """Gathers frames up to CHUNK_BYTES or CHUNK_FRAMES, then writes them as one NPZ."""

    def __init__(self, stem: Path, film: Film, provenance: Provenance) -> None:
        self.stem, self.film, self.provenance = stem, film, provenance
        height, width = film.size
        count = int(np.clip(CHUNK_BYTES // (4 * height * width), 1, CHUNK_FRAMES))
        self._metres = np.empty((count, height, width), np.float32)
        self._seconds: list[float] = []
        self._first: Frame | None = None  # of the chunk

    def write(self, frame: Frame, metres: NDArray[np.float32]) -> None:
        """One frame, and its metres [H, W]."""
        self._first = self._first or frame
        self._metres[len(self._seconds)] = metres
        self._seconds.append(float(frame.pts * self.film.time_base))
        if len(self._seconds) == len(self._metres):
            self.finish()

    def finish(self) -> None:
        """Write the frames that are waiting."""
        if self._first is None:
            return
        camera = Camera.assumed(self.film.size)
        provenance = _provenance(self.provenance, self.film, self._first)
        metres = self._metres[: len(self._seconds)]
        contents = Contents(metres, {"camera": camera.record(), **vars(provenance)})
        intrinsics = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
        arrays = {
            "metres": metres,
            "seconds": np.array(self._seconds),
            "intrinsics": np.array(intrinsics, np.float64),
            METADATA_KEY: np.array(contents.described()),
        }
        name = f"{self.stem.name}_{self._first.index + 1:06}.npz"
        with atomic_file(self.stem.with_name(name)) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # the stubs take them for a flag
        self._first, self._seconds = None, []


def _provenance(of_film: Provenance, film: Film, frame: Frame) -> Provenance:
    """Where one frame's metres come from."""
    return of_film.for_image(f"{film.path.name} frame {frame.index + 1}")
