"""Films in: what a file says of itself, its frames upright with their time stamps, its audio.

Decoding runs in a thread a few frames ahead of whoever uses the frames.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from glpn.concurrency import prefetch
from glpn.errors import DataError, MissingDependency, MissingInput
from glpn.files.contents import require_size
from glpn.image.photo import display_name

_USUAL_RATE = Fraction(25)  # frames per second where a file names none


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a film.

    Attributes:
        index: from 0 on, in the order of display.
        pts: time stamp in units of `Film.time_base`; grows from frame to frame.
        pixels: RGB uint8 [H, W, 3], upright.
    """

    index: int
    pts: int
    pixels: NDArray[np.uint8]


@dataclass
class Film:
    """What a file says of itself, and what decoding found.

    Attributes:
        path: the file.
        size: height and width of the upright picture.
        rate: frames per second, on average.
        time_base: seconds per unit of a time stamp.
        expected: how many frames the file says it has; 0 where it does not say.
        damaged: packets that could not be decoded, so far.
        live: it happens now, so nothing may be done ahead; `path` is only a name, no file.
    """

    live: ClassVar[bool] = False

    path: Path
    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    expected: int
    damaged: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """The path as messages show it."""
        return display_name(str(self.path))

    def frames(self) -> Generator[Frame, None, None]:
        """Every frame that can be decoded, from the first one on; each call starts again.

        Close the iterator if it is left early: a thread decodes ahead of it.
        """
        return prefetch(self._decoded(), name="decode")

    def _decoded(self) -> Generator[Frame, None, None]:
        self.damaged = 0
        step = max(1, round(1 / (self.rate * self.time_base)))
        last: int | None = None
        with open_input(self.path) as source:
            for index, picture in enumerate(_pictures(source, self._note_damage)):
                last = _later(last, picture.pts, step)
                yield Frame(index, last, upright(picture, self.size))

    def _note_damage(self) -> None:
        self.damaged += 1


def require_av() -> Any:
    """PyAV.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as e:
        raise MissingDependency("films need PyAV", extra="video") from e


def open_film(path: str | Path) -> Film:
    """Read what a film says of itself and decode its first frame.

    Raises:
        MissingDependency: PyAV is not installed.
        MissingInput: there is no such file.
        DataError: it is no film, or none of its frames can be decoded.
    """
    path = Path(path)
    name = display_name(str(path))
    with open_input(path) as source:
        if not source.streams.video:
            raise DataError(f"{name}: has no video stream")
        stream = source.streams.video[0]
        try:
            require_size(stream.height, stream.width)
        except DataError as e:
            raise DataError(f"{name}: {e}") from e
        first = next(_pictures(source, lambda: None), None)
        if first is None:
            raise DataError(f"{name}: none of its frames can be decoded")
        height, width = first.height, first.width
        rate = Fraction(stream.average_rate or stream.guessed_rate or _USUAL_RATE)
        return Film(
            path=path,
            size=(width, height) if _quarter_turns(first) % 2 else (height, width),
            rate=rate,
            time_base=Fraction(stream.time_base or 1 / rate),
            expected=stream.frames,
        )


@contextmanager
def open_input(path: Path) -> Iterator[Any]:
    """A film's container, open.

    Raises:
        MissingDependency, MissingInput: PyAV or the file is not there.
        DataError: the file is no film.
    """
    av = require_av()
    name = display_name(str(path))
    if not path.is_file():
        raise MissingInput(f"{name}: {'is no file' if path.exists() else 'no such file'}")
    try:
        # With "file:", a colon in the name is no protocol, and a playlist reaches no network.
        source = av.open(f"file:{path}", metadata_errors="replace")
    except (av.FFmpegError, OSError) as e:
        raise DataError(f"{name}: cannot be read as a film: {e.strerror or e}") from e
    with source:
        yield source


def _pictures(source: Any, note_damage: Callable[[], None]) -> Iterator[Any]:
    """Decoded pictures of an open container; what is damaged is left out and noted."""
    av = require_av()
    packets = source.demux(source.streams.video[0])
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:  # cut off in the middle
            note_damage()
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            note_damage()


def _later(last: int | None, told: int | None, step: int) -> int:
    """A time stamp after the last one: what the film tells, if that is later."""
    if told is None:
        return 0 if last is None else last + step
    return told if last is None else max(told, last + 1)


def _quarter_turns(picture: Any) -> int:
    """Counter-clockwise quarter turns that bring a decoded picture upright."""
    return int(round(picture.rotation / 90) % 4)


def upright(picture: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A decoded picture as RGB uint8 [H, W, 3] of this size, turned as the film says.

    A film may change its size on the way; the first frame's holds.
    """
    turns = _quarter_turns(picture)
    height, width = size[::-1] if turns % 2 else size
    pixels = picture.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(pixels, turns))
