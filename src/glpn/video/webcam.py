"""Webcams: the newest picture of a camera, as a video without an end.

A thread reads everything that the camera delivers and keeps only the last picture. A slow reader
sees fewer pictures, never older ones.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from glpn.errors import DataError, MissingDependency, MissingInput
from glpn.video.reading import Frame, Video, require_av, upright

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

_CLOCK = Fraction(1, 1000)  # seconds per unit of the time stamps; the rate varies
_DEFAULT_RATE = Fraction(30)
_POLL = 0.1  # seconds between checks whether the camera was stopped
_RETRY = 0.005  # seconds before a camera without a picture is read again


@dataclass(frozen=True)
class Device:
    """A camera as FFmpeg opens it: an input format and the name of the device in it."""

    format: str
    name: str


def webcam_device(number: int) -> Device:
    """The camera with this number, counted from 0: /dev/videoN on Linux, else by the system's list.

    Raises:
        MissingDependency: PyAV is not installed, or too old to list the cameras of Windows.
        MissingInput: Windows lists fewer cameras.
    """
    if sys.platform == "darwin":
        return Device("avfoundation", f"{number}:none")
    if sys.platform == "win32":
        return _directshow(number)
    return Device("v4l2", f"/dev/video{number}")


def _directshow(number: int) -> Device:
    listed = getattr(require_av(), "enumerate_input_devices", None)
    if listed is None:
        raise MissingDependency("cameras on Windows need a newer PyAV: pip install -U av")
    names = [d.description for d in listed("dshow") if "video" in d.media_types]
    if number >= len(names):
        raise MissingInput(f"--camera {number}: found {len(names)} cameras, numbered from 0")
    return Device("dshow", f"video={names[number]}")


@dataclass
class Webcam(Video):
    """An open camera.

    Attributes:
        ended: it was stopped or unplugged.
    """

    live: ClassVar[bool] = True

    _news: threading.Condition = field(default_factory=threading.Condition, init=False, repr=False)
    _newest: VideoFrame | None = field(default=None, init=False, repr=False)  # a decoded picture
    _count: int = field(default=0, init=False, repr=False)  # pictures so far
    ended: bool = field(default=False, init=False)

    def frames(self) -> Generator[Frame, None, None]:
        """The newest picture each time, and none twice, until the camera stops."""
        began, seen, pts = time.monotonic(), 0, -1
        for index in itertools.count():
            with self._news:
                while self._count == seen and not self.ended:
                    self._news.wait(_POLL)
                if self._newest is None or self._count == seen:
                    return
                picture, seen = self._newest, self._count
            pts = max(pts + 1, int((time.monotonic() - began) / _CLOCK))
            yield Frame(index, pts, upright(picture, self.size))

    def show(self, picture: VideoFrame) -> None:
        """Replace the newest picture."""
        with self._news:
            self._newest, self._count = picture, self._count + 1
            self._news.notify_all()

    def stop(self) -> None:
        """End `frames` after the newest picture; may be called in a signal handler."""
        self.ended = True


@contextmanager
def open_webcam(device: Device) -> Iterator[Webcam]:
    """Turn a camera on for the duration of the block.

    Raises:
        MissingDependency: PyAV is not installed.
        MissingInput: there is no such camera, or another program uses it.
        DataError: it delivers no picture.
    """
    av = require_av()
    try:
        source = av.open(device.name, format=device.format)
    except (av.FFmpegError, OSError, ValueError) as e:
        why = getattr(e, "strerror", None) or e
        raise MissingInput(f"camera {device.name}: cannot be opened: {why}") from e
    with source:
        pictures = _pictures(source)
        first = next(pictures, None) if source.streams.video else None
        if first is None:
            raise DataError(f"camera {device.name}: delivers no picture")
        stream = source.streams.video[0]
        rate = Fraction(stream.average_rate or stream.guessed_rate or _DEFAULT_RATE)
        webcam = Webcam(Path("camera"), (first.height, first.width), rate, _CLOCK, expected=0)
        thread = threading.Thread(target=_read, args=(pictures, webcam), name="glpn-webcam")
        thread.start()
        try:
            yield webcam
        finally:
            webcam.stop()
            thread.join()


def _read(pictures: Iterator[VideoFrame], webcam: Webcam) -> None:
    """Show each picture until the camera stops."""
    for picture in pictures:
        if webcam.ended:
            return
        webcam.show(picture)
    webcam.stop()


def _pictures(source: InputContainer) -> Iterator[VideoFrame]:
    """Decoded pictures until the camera is gone; damaged ones are left out."""
    av = require_av()
    while True:
        try:
            for packet in source.demux(source.streams.video[0]):
                with suppress(av.InvalidDataError):
                    yield from packet.decode()
            return
        except av.BlockingIOError:  # avfoundation does not wait for the next picture
            time.sleep(_RETRY)
        except av.FFmpegError:  # unplugged
            return
