"""Video output: an MP4 of pictures beside their depth, with the original clock and audio."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from glpn.depth.colormaps import colorize
from glpn.depth.depth import Depth
from glpn.depth.legend import MIN_HEIGHT, legend
from glpn.errors import GLPNError, OutputFailed
from glpn.files import atomic_file
from glpn.files.paths import remove_stale_parts
from glpn.video.reading import Frame, Video, open_input, require_av

if TYPE_CHECKING:
    from av import AudioStream, VideoStream
    from av.container import InputContainer, OutputContainer

_ENCODERS = ("libx264", "mpeg4")  # tried in this order
_QUALITY = {"crf": "20", "preset": "veryfast"}  # encoding is not the bottleneck
_BT709, _LIMITED_RANGE = 1, 1  # ITU-T H.273; in FFmpeg, 1 stands for levels 16 to 235


@dataclass(frozen=True)
class Colors:
    """How metres become colours: a map and one range in metres for the whole video."""

    colormap: str
    near: float
    far: float

    def beside(self, image: NDArray[np.uint8], metres: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The image [H, W, 3], its depth in colour and, where there is room, the legend."""
        depth = colorize(metres, self.colormap, near=self.near, far=self.far)
        return np.concatenate([image, depth, _legend(self, len(image))], axis=1)


@cache
def _legend(colors: Colors, height: int) -> NDArray[np.uint8]:
    """The legend [height, W, 3] with an even W; W is 0 for pictures too low for labels."""
    if height < MIN_HEIGHT:
        return np.zeros((height, 0, 3), np.uint8)
    strip = legend(height, colors.colormap, colors.near, colors.far)
    odd = strip.shape[1] % 2
    return np.pad(strip, ((0, 0), (0, odd), (0, 0)), mode="edge")


@contextmanager
def side_by_side(
    path: Path, video: Video, colors: Colors, *, overwrite: bool
) -> Iterator[SideBySide]:
    """An MP4 that appears under its name only if the block ends without an error.

    Raises:
        CannotCreateOutput, OutputFailed: as `atomic_file`.
    """
    remove_stale_parts(path.parent)
    with (
        atomic_file(path, overwrite=overwrite) as file,
        _muxer(file, path) as output,
        nullcontext() if video.live else open_input(video.path) as source,
        closing(Soundtrack(source, output)) as sound,
    ):
        sink = SideBySide(output, video, colors, sound=sound)
        with _named_errors(path):
            yield sink
            sink.finish()


class SideBySide:
    """Encodes picture and colours into an open container, interleaved with the copied audio."""

    def __init__(
        self, output: OutputContainer, video: Video, colors: Colors, *, sound: Soundtrack
    ) -> None:
        self.video, self.colors, self.sound = video, colors, sound
        self._output = output
        self._stream = _video_stream(output, video, _legend(colors, video.size[0]).shape[1])

    def write(self, frame: Frame, depth: Depth) -> None:
        """One frame and its depth."""
        both = self.colors.beside(frame.pixels, depth.metres)
        if len(both) % 2:  # 4:2:0 needs even sides
            both = np.concatenate([both, both[-1:]])
        picture = require_av().VideoFrame.from_ndarray(both, format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        picture.pts, picture.time_base = frame.pts, self.video.time_base
        self._output.mux(self._stream.encode(picture))
        for packet in self.sound.until(frame.pts * self.video.time_base):
            self._output.mux(packet)

    def finish(self) -> None:
        """Write the frames still in the encoder, and the rest of the audio."""
        self._output.mux(self._stream.encode(None))
        for packet in self.sound.until(None):
            self._output.mux(packet)


class Soundtrack:
    """Copies a video's audio packets into an output without decoding them.

    The source is a second handle of the file, because the first one decodes ahead of the network.
    None means no audio.

    Attributes:
        copied: codecs of the streams that are copied.
        left_out: codecs that the output cannot hold.
    """

    def __init__(self, source: InputContainer | None, output: OutputContainer) -> None:
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
        """The remaining packets up to this second; all of them if None."""
        if not self._begun:
            self._next, self._begun = next(self._packets, None), True
        while (packet := self._next) is not None:
            if second is not None and packet.pts * packet.time_base > second:
                return
            # Muxing empties a packet, so the next one is read before this one is used.
            self._next = next(self._packets, None)
            yield packet

    def close(self) -> None:
        """Stop reading."""
        self._packets.close()


def _for_streams(
    source: InputContainer | None, streams: dict[int, AudioStream]
) -> Generator[Any, None, None]:
    """Yield packets with time stamps, up to the end or the first damage."""
    if source is None or not streams:
        return
    with suppress(require_av().FFmpegError):
        for packet in source.demux([source.streams[index] for index in streams]):
            if packet.dts is not None and packet.pts is not None:
                packet.stream = streams[packet.stream.index]
                yield packet


def _video_stream(output: OutputContainer, video: Video, extra: int) -> VideoStream:
    """The stream of pictures; `extra` columns contain the legend."""
    encoder = next(name for name in _ENCODERS if name in require_av().codecs_available)
    options = _QUALITY if encoder == _ENCODERS[0] else {}
    stream = cast("VideoStream", output.add_stream(encoder, rate=video.rate, options=options))
    height, width = video.size
    stream.width, stream.height = 2 * width + extra, height + height % 2
    stream.pix_fmt = "yuv420p"
    context = stream.codec_context
    context.time_base = video.time_base
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


@contextmanager
def _muxer(file: BinaryIO, path: Path) -> Iterator[OutputContainer]:
    """An MP4 container that writes to an open file; it is finished unless an error occurs."""
    av = require_av()
    output = av.open(file, "w", format="mp4")
    try:
        yield output
    except BaseException:
        with suppress(av.FFmpegError, OSError, ValueError):
            output.close()
        raise
    with _named_errors(path):
        output.close()


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turn errors of the library into errors that name the output."""
    try:
        yield
    except GLPNError:
        raise
    except (require_av().FFmpegError, OSError) as e:
        raise OutputFailed(f"{path}: cannot be written: {e.strerror or e}") from e
