"""Films out: MP4 with the photograph beside its depth, the film's own clock and its audio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glpn.depth.colormaps import colorize
from glpn.errors import GLPNError, OutputFailed
from glpn.files import atomic_file
from glpn.video.reading import Film, Frame, open_input, require_av

_ENCODERS = ("libx264", "mpeg4")  # the first that this PyAV has
_QUALITY = {"crf": "20", "preset": "veryfast"}  # the network takes longer than the encoder anyway
_BT709, _LIMITED_RANGE = 1, 1  # ITU-T H.273; FFmpeg's number for levels from 16 to 235


@dataclass(frozen=True)
class Colors:
    """How metres become colours: a map, and its range in metres, the same all over a film."""

    colormap: str
    near: float
    far: float


@contextmanager
def side_by_side(
    path: Path, film: Film, colors: Colors, *, overwrite: bool
) -> Iterator[SideBySide]:
    """An MP4 that appears under its name when the block ends well, and not at all otherwise.

    Raises:
        CannotCreateOutput, OutputFailed: as `atomic_file`.
    """
    with (
        atomic_file(path, overwrite=overwrite) as file,
        _muxer(file, path) as output,
        nullcontext() if film.live else open_input(film.path) as source,
        closing(Soundtrack(source, output)) as sound,
    ):
        sink = SideBySide(output, film, colors, sound=sound)
        with _saying(path):
            yield sink
            sink.finish()


class SideBySide:
    """Encodes photograph and colours into an open container, and copies the audio as it goes."""

    def __init__(self, output: Any, film: Film, colors: Colors, *, sound: Soundtrack) -> None:
        self.film, self.colors, self.sound = film, colors, sound
        self._output = output
        self._stream = _video_stream(output, film)

    def write(self, frame: Frame, metres: NDArray[np.float32]) -> None:
        """One frame, and its metres [H, W]."""
        look = self.colors
        right = colorize(metres, look.colormap, near=look.near, far=look.far)
        both = np.concatenate([frame.pixels, right], axis=1)
        if len(both) % 2:  # 4:2:0 needs even sides
            both = np.concatenate([both, both[-1:]])
        picture = require_av().VideoFrame.from_ndarray(both, format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        picture.pts, picture.time_base = frame.pts, self.film.time_base
        self._output.mux(self._stream.encode(picture))
        for packet in self.sound.until(frame.pts * self.film.time_base):
            self._output.mux(packet)

    def finish(self) -> None:
        """What the encoder still holds, and the rest of the audio."""
        self._output.mux(self._stream.encode(None))
        for packet in self.sound.until(None):
            self._output.mux(packet)


class Soundtrack:
    """A film's audio packets, not decoded, for an output's streams.

    They come from a second look into the file: the first one decodes ahead of the network. Without
    a source there are none.

    Attributes:
        copied: codecs of the streams that the output takes.
        left_out: codecs of those that it cannot carry.
    """

    def __init__(self, source: Any | None, output: Any) -> None:
        av = require_av()
        self.copied: list[str] = []
        self.left_out: list[str] = []
        streams = {}
        for stream in source.streams.audio if source else ():
            codec = stream.codec_context.name if stream.codec_context else "unknown"
            try:
                streams[stream.index] = output.add_stream_from_template(stream)
                self.copied.append(codec)
            except (ValueError, av.FFmpegError):
                self.left_out.append(codec)
        self._packets = _for_streams(source, streams)
        self._next: Any = None
        self._begun = False

    def until(self, second: Fraction | None) -> Iterator[Any]:
        """The packets up to this second that were not given yet; all of them if None."""
        if not self._begun:
            self._next, self._begun = next(self._packets, None), True
        while (packet := self._next) is not None:
            if second is not None and packet.pts * packet.time_base > second:
                return
            # Muxing empties a packet, so its time must be read before it is given away.
            self._next = next(self._packets, None)
            yield packet

    def close(self) -> None:
        """Stop reading."""
        self._packets.close()


def _for_streams(source: Any, streams: dict[int, Any]) -> Any:
    """A generator of packets with time stamps, up to the end or to the first damage."""
    if not streams:
        return
    with suppress(require_av().FFmpegError):
        for packet in source.demux([source.streams[index] for index in streams]):
            if packet.dts is not None and packet.pts is not None:
                packet.stream = streams[packet.stream.index]
                yield packet


def _video_stream(output: Any, film: Film) -> Any:
    encoder = next(name for name in _ENCODERS if name in require_av().codecs_available)
    options = _QUALITY if encoder == _ENCODERS[0] else {}
    stream = output.add_stream(encoder, rate=film.rate, options=options)
    height, width = film.size
    stream.width, stream.height = 2 * width, height + height % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = film.time_base
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


@contextmanager
def _muxer(file: Any, path: Path) -> Iterator[Any]:
    """An MP4 container that writes to an open file; its end is written when all went well."""
    av = require_av()
    output = av.open(file, "w", format="mp4")
    try:
        yield output
    except BaseException:
        with suppress(av.FFmpegError, OSError, ValueError):
            output.close()
        raise
    with _saying(path):
        output.close()


@contextmanager
def _saying(path: Path) -> Iterator[None]:
    """Errors of the library as errors that name the output."""
    try:
        yield
    except GLPNError:
        raise
    except (require_av().FFmpegError, OSError) as e:
        raise OutputFailed(f"{path}: cannot be written: {e.strerror or e}") from e
