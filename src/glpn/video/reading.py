"""Video input: upright frames with time stamps, square pixels and SDR colours."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from glpn.concurrency import prefetch
from glpn.errors import DataError, MissingDependency, MissingInput
from glpn.files.contents import require_size
from glpn.image.photo import display_name
from glpn.video import hdr

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video import VideoStream

_DEFAULT_RATE = Fraction(25)  # frames per second where the file states none
_PIXEL_ASPECTS = (Fraction(1, 4), Fraction(4))  # beyond these the flag is a mistake
_ANIMATED_WEBP = (b"RIFF", b"WEBPVP8X", 0x02)  # start, container, animation flag


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    Attributes:
        index: position in the order of display, from 0.
        pts: time stamp in units of `Video.time_base`; increases from frame to frame.
        pixels: RGB uint8 [H, W, 3], upright, with square pixels.
    """

    index: int
    pts: int
    pixels: NDArray[np.uint8]


@dataclass
class Video:
    """The properties of a file, and the damage that decoding found.

    Attributes:
        path: the file.
        size: height and width of the upright frames.
        rate: average frames per second.
        time_base: seconds per unit of a time stamp.
        expected: number of frames by the file's header; 0 where it states none.
        pixel_aspect: width of a stored pixel by its height; frames come with square pixels.
        transfer: "PQ" or "HLG" for HDR, which frames are tone-mapped from; else empty.
        damaged: packets that could not be decoded, so far.
        live: comes from a camera, so nothing can be decoded ahead; `path` is only a name.
    """

    live: ClassVar[bool] = False

    path: Path
    size: tuple[int, int]
    rate: Fraction
    time_base: Fraction
    expected: int
    pixel_aspect: Fraction = Fraction(1)
    transfer: str = ""
    damaged: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """The path as messages show it."""
        return display_name(str(self.path))

    def frames(self) -> Generator[Frame, None, None]:
        """Every frame that can be decoded, from the first one; each call starts again.

        Close the generator if you leave it early: a thread decodes ahead of it.
        """
        return prefetch(self._decoded(), name="decode")

    def first_frame(self) -> Frame:
        """The first frame.

        Raises:
            DataError: no frame can be decoded.
        """
        with closing(self.frames()) as frames:
            first = next(frames, None)
        if first is None:
            raise DataError(f"{self.name}: no frame can be decoded")
        return first

    def _decoded(self) -> Generator[Frame, None, None]:
        self.damaged = 0
        step = max(1, round(1 / (self.rate * self.time_base)))
        last: int | None = None
        with open_input(self.path) as source:
            for index, picture in enumerate(_pictures(source, self._note_damage)):
                last = _increasing(last, picture.pts, step)
                yield Frame(index, last, upright(picture, self.size))

    def _note_damage(self) -> None:
        self.damaged += 1


def require_av() -> ModuleType:
    """PyAV.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return importlib.import_module("av")
    except ImportError as e:
        raise MissingDependency("videos need PyAV", extra="video") from e


def open_video(path: str | Path) -> Video:
    """Read the properties of a video, and decode its first frame.

    Raises:
        MissingDependency: PyAV is not installed.
        MissingInput: there is no such file.
        DataError: the file is not a video, or none of its frames can be decoded.
    """
    path = Path(path)
    name = display_name(str(path))
    with open_input(path) as source:
        if not source.streams.video:
            raise DataError(f"{name}: has no video stream")
        stream = source.streams.video[0]
        if stream.codec_context is None:
            raise DataError(
                f"{name}: FFmpeg has no decoder for its codec; convert the video to H.264"
            )
        first = next(_pictures(source, lambda: None), None) if stream.height else None
        if first is None:
            raise DataError(f"{name}: no frame can be decoded")
        aspect = _pixel_aspect(stream, first)
        height, width = _square_size((first.height, first.width), aspect)
        try:
            require_size(height, width)
        except DataError as e:
            raise DataError(f"{name}: {e}") from e
        rate = Fraction(stream.average_rate or stream.guessed_rate or _DEFAULT_RATE)
        return Video(
            path=path,
            size=(width, height) if _quarter_turns(first) % 2 else (height, width),
            rate=rate,
            time_base=Fraction(stream.time_base or 1 / rate),
            expected=_expected(source, stream),
            pixel_aspect=aspect,
            transfer={hdr.PQ: "PQ", hdr.HLG: "HLG"}.get(first.color_trc, ""),
        )


@contextmanager
def open_input(path: Path) -> Iterator[InputContainer]:
    """The open container of a video.

    Raises:
        MissingDependency, MissingInput: PyAV or the file is missing.
        DataError: the file is not a video.
    """
    av = require_av()
    name = display_name(str(path))
    if not path.is_file():
        raise MissingInput(f"{name}: {'not a file' if path.exists() else 'no such file'}")
    _refuse_animated_webp(path, name)
    try:
        # With "file:", a colon in the name starts no protocol, and a playlist reaches no network.
        source = av.open(f"file:{path}", metadata_errors="replace")
    except (av.FFmpegError, OSError) as e:
        raise DataError(f"{name}: cannot be read as a video: {e.strerror or e}") from e
    with source:
        yield source


def _refuse_animated_webp(path: Path, name: str) -> None:
    """FFmpeg cannot decode these and reports a size of 0x0 instead."""
    start, container, flag = _ANIMATED_WEBP
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:
        return  # FFmpeg's error explains it
    if head[:4] == start and head[8:16] == container and len(head) > 20 and head[20] & flag:
        raise DataError(f"{name}: an animated WEBP cannot be read; convert it to GIF or MP4")


def _expected(source: InputContainer, stream: VideoStream) -> int:
    """How many frames the header promises; 0 where it does not say.

    The edit list of a trimmed MP4 hides some of the samples that its header counts.
    """
    if not stream.frames or "mov" not in source.format.name:
        return stream.frames
    shown = sum(not entry.is_discard for entry in getattr(stream, "index_entries", ()))
    return shown or stream.frames  # older versions of PyAV do not show the index


def _pictures(source: InputContainer, note_damage: Callable[[], None]) -> Iterator[VideoFrame]:
    """The decoded pictures of an open container; damaged ones are noted and left out."""
    av = require_av()
    stream = source.streams.video[0]
    packets = source.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:  # the file ends in the middle
            note_damage()
            with suppress(av.FFmpegError):  # pictures that the decoder holds back for reordering
                yield from stream.decode(None)
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            note_damage()


def _increasing(last: int | None, stated: int | None, step: int) -> int:
    """A time stamp after the last one: the one that the file states, if it is later."""
    if stated is None:
        return 0 if last is None else last + step
    return stated if last is None else max(stated, last + 1)


def _pixel_aspect(stream: VideoStream, picture: VideoFrame) -> Fraction:
    """Width of a stored pixel by its height; 1 where the file states nothing plausible."""
    low, high = _PIXEL_ASPECTS
    stated = stream.sample_aspect_ratio or getattr(picture, "sample_aspect_ratio", None)
    return Fraction(stated) if stated and low <= stated <= high else Fraction(1)


def _square_size(size: tuple[int, int], aspect: Fraction) -> tuple[int, int]:
    """(height, width) with square pixels; the side that is stored too short grows."""
    height, width = size
    return (height, round(width * aspect)) if aspect >= 1 else (round(height / aspect), width)


def _quarter_turns(picture: VideoFrame) -> int:
    """Counter-clockwise quarter turns that bring a decoded picture upright."""
    return int(round(picture.rotation / 90) % 4)


def upright(picture: VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A decoded picture as RGB uint8 [H, W, 3] of this size, turned as the file says.

    A video may change its size on the way; all frames come at the size of the first.
    """
    turns = _quarter_turns(picture)
    height, width = size[::-1] if turns % 2 else size
    if picture.color_trc in (hdr.PQ, hdr.HLG):
        deep = picture.to_ndarray(format="rgb48le", width=width, height=height)
        pixels = hdr.tone_map(np.asarray(deep, np.uint16), picture.color_trc)
    else:
        rgb = picture.to_ndarray(format="rgb24", width=width, height=height)
        pixels = np.asarray(rgb, np.uint8)
    return np.ascontiguousarray(np.rot90(pixels, turns))
