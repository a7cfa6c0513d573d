"""The chain of a video: read → predict → smooth → write.

The steps run side by side, a few frames apart: one thread decodes, others predict, and the caller's
own smooths and writes. Frames of a live camera pass one at a time instead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glpn.concurrency import map_ordered, prefetch
from glpn.depth.colormaps import ROBUST_PERCENTILES, color_table
from glpn.depth.depth import Depth
from glpn.errors import DataError, UsageError
from glpn.estimator import DepthEstimator
from glpn.files.png_writer import MILLIMETRES
from glpn.jobs import SharedEstimator
from glpn.video.predicting import FramePredictor, VideoCamera
from glpn.video.reading import Frame, Video, open_video
from glpn.video.sequences import npz_chunks, png_frames
from glpn.video.side_by_side import Colors, SideBySide, side_by_side
from glpn.video.smoothing import ChangeDetector, FlickerMeter, Smoother

FORMATS = ("mp4", "png16", "npz")
_MP4_SUFFIXES = (".mp4", ".m4v", ".mov")
HEADROOM = 1.25  # widens the first second's range of metres at both ends
_PROBES = 8  # frames of the first second that determine the range
_MAX_PROBED_PIXELS = 20_000  # limit for each


@dataclass(frozen=True)
class VideoOptions:
    """What is written, and how.

    Attributes:
        format: one of FORMATS.
        smooth: smooth the depth over time where the picture stands still.
        colormap, near, far: colours of mp4; the first second determines an end that is None.
        scale: units per metre of png16.
        overwrite: replace existing outputs.
        camera: the known properties of the video's camera.

    Raises:
        UsageError: a value is impossible.
    """

    format: str = "mp4"
    smooth: bool = False
    colormap: str = "inferno"
    near: float | None = None
    far: float | None = None
    scale: float = MILLIMETRES
    overwrite: bool = False
    camera: VideoCamera = field(default_factory=VideoCamera)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"--format: expected {', '.join(FORMATS)}; got {self.format!r}")
        color_table(self.colormap)
        if not 0 < self.scale < float("inf"):
            raise UsageError(f"--scale: expected a number above 0, got {self.scale:g}")
        near, far = 0 if self.near is None else self.near, self.far
        if not 0 <= near < (float("inf") if far is None else far):
            raise UsageError(
                f"--near, --far: expected 0 <= near < far in metres, got {near} and {far}"
            )

    def default_output(self, video: Video) -> Path:
        """Return walk-depth.mp4 for walk.mp4, or the folder walk-depth, in the current folder."""
        name = f"{video.path.stem}-depth"
        return Path(f"{name}.mp4" if self.format == "mp4" else name)


@dataclass
class Summary:
    """The result of a video.

    Attributes:
        written: the file or folder; None where the frames were only shown.
        format: format of the output.
        frames: how many were written.
        size: height and width of the frames.
        rate: frames per second.
        cuts: how many scenes follow the first.
        flicker: mean absolute change of log depth on unchanged pixels, as predicted.
        flicker_smoothed: the same after smoothing; None without it.
        range: near and far of the colours, in metres; None where nothing is coloured.
        camera: the source of the focal length.
        audio: codecs of the streams that were copied.
        warnings: sentences about losses.
    """

    written: str | None
    format: str
    frames: int
    size: tuple[int, int]
    rate: float
    cuts: int
    flicker: float | None
    flicker_smoothed: float | None
    range: tuple[float, float] | None
    camera: str
    audio: list[str]
    warnings: list[str]


class Sink(Protocol):
    """Takes the frames of one video in order."""

    def write(self, frame: Frame, depth: Depth) -> None:
        """One frame and its depth."""


def convert(
    source: str | Path | Video,
    output: str | Path | None,
    model: DepthEstimator | SharedEstimator,
    *,
    options: VideoOptions | None = None,
    on_frame: Callable[[Frame, NDArray[np.float32]], None] = lambda frame, metres: None,
) -> Summary:
    """Predict every frame of a video; the output appears, complete, at the end.

    Args:
        source: any video that PyAV decodes, or an open one.
        output: a file for mp4, a folder for png16 and npz; None writes nothing.
        model: predicts each frame; a `SharedEstimator` predicts several at a time if that is
            faster.
        options: options of the outputs; None means `VideoOptions()`.
        on_frame: called with each frame and its metres [H, W] after they are written.

    Raises:
        MissingDependency: PyAV is not installed.
        MissingInput, DataError: there is no such video, or it cannot be decoded.
        UsageError: the output is the video itself, its name has another format, or the depth does
            not fit the format.
        CannotCreateOutput, OutputFailed: the output cannot be created, or not finished.
    """
    options = options or VideoOptions()
    path = None if output is None else Path(output)
    if path and options.format == "mp4" and path.suffix.lower() not in _MP4_SUFFIXES:
        raise UsageError(
            f"{path}: --format mp4 needs a name that ends in {' or '.join(_MP4_SUFFIXES)}; "
            "--format png16 and npz fill a folder"
        )
    if isinstance(model, SharedEstimator):
        estimator, at_once = model.estimator(), model.concurrency
    else:
        estimator, at_once = model, 1
    video = source if isinstance(source, Video) else open_video(source)
    if path and path.exists() and not video.live and path.samefile(video.path):
        raise UsageError(f"{video.name}: the output would replace the video")
    predict = FramePredictor(estimator, video, options.camera)
    colors = choose_colors(video, predict, options) if path and options.format == "mp4" else None
    stages = _Stages(options.smooth)
    with _sink(video, path, options, colors) as sink:
        with closing(_predicted(video, predict, at_once)) as frames:
            for frame, predicted in frames:
                depth = stages.smoothed(frame, predicted)
                if sink is not None:
                    sink.write(frame, depth)
                on_frame(frame, depth.metres)
        if not stages.frames:
            raise DataError(f"{video.name}: no frame can be decoded")
    return _summary(video, path, options, stages, sink)


def _predicted(
    video: Video, predict: FramePredictor, at_once: int
) -> Generator[tuple[Frame, Depth], None, None]:
    """Every frame with its depth; ahead of the caller, unless the video is live."""

    def pairs() -> Generator[tuple[Frame, Depth], None, None]:
        with closing(video.frames()) as frames:
            yield from map_ordered(
                lambda frame: (frame, predict(frame)), frames, threads=at_once if at_once > 1 else 0
            )

    return prefetch(pairs(), name="predict") if at_once == 1 and not video.live else pairs()


def choose_colors(video: Video, predict: FramePredictor, options: VideoOptions) -> Colors:
    """The range of colours: the given ends, completed from the first second of the video.

    A missing end is the 2nd or 98th percentile of some frames of that second, with headroom.
    """
    near, far = options.near, options.far
    if near is None or far is None:
        low, high = np.percentile(_first_second(video, predict), ROBUST_PERCENTILES)
        near = float(low) / HEADROOM if near is None else near
        far = float(high) * HEADROOM if far is None else far
    if not near < far:
        near, far = (near, near * HEADROOM) if options.far is None else (far / HEADROOM, far)
    return Colors(options.colormap, near, far)


def _first_second(video: Video, predict: FramePredictor) -> NDArray[np.float32]:
    """A sample of the metres in evenly spread frames of the first second."""
    every = max(1, round(video.rate / _PROBES))
    found: list[NDArray[np.float32]] = []
    with closing(video.frames()) as frames:
        for frame in frames:
            if frame.index >= video.rate and found:
                break
            if frame.index % every == 0:
                metres = predict(frame).metres.reshape(-1)
                found.append(metres[:: max(1, len(metres) // _MAX_PROBED_PIXELS)])
    if not found:
        raise DataError(f"{video.name}: no frame can be decoded")
    return np.concatenate(found)


class _Stages:
    """Smooths frame after frame where wanted, and gathers the figures of the summary."""

    def __init__(self, smooth: bool) -> None:
        self.frames = self.cuts = 0
        self.camera = ""
        self.detector = ChangeDetector()
        self.flicker = FlickerMeter()
        self.smoother = Smoother() if smooth else None
        self.flicker_smoothed = FlickerMeter()

    def smoothed(self, frame: Frame, depth: Depth) -> Depth:
        """The depth to write, from the predicted one."""
        change = self.detector(frame.pixels)
        self.cuts += change.cut and self.frames > 0
        self.frames += 1
        self.camera = depth.camera.source
        self.flicker.add(depth.metres, change)
        if self.smoother is None:
            return depth
        metres = self.smoother(depth.metres, change)
        self.flicker_smoothed.add(metres, change)
        return dataclasses.replace(depth, metres=metres, sigma=depth.given_sigma)


def _sink(
    video: Video, output: Path | None, options: VideoOptions, colors: Colors | None
) -> AbstractContextManager[Sink | None]:
    if output is None:
        return nullcontext()
    if colors is not None:
        return side_by_side(output, video, colors, overwrite=options.overwrite)
    if options.format == "png16":
        return png_frames(output, video, scale=options.scale, overwrite=options.overwrite)
    return npz_chunks(output, video, overwrite=options.overwrite)


def _summary(
    video: Video, output: Path | None, options: VideoOptions, stages: _Stages, sink: Sink | None
) -> Summary:
    beside = sink if isinstance(sink, SideBySide) else None
    return Summary(
        written=None if output is None else str(output),
        format=options.format,
        frames=stages.frames,
        size=video.size,
        rate=float(video.rate),
        cuts=stages.cuts,
        flicker=stages.flicker.value,
        flicker_smoothed=stages.flicker_smoothed.value if options.smooth else None,
        range=(beside.colors.near, beside.colors.far) if beside else None,
        camera=stages.camera,
        audio=beside.sound.copied if beside else [],
        warnings=_warnings(video, stages.frames, beside),
    )


def _warnings(video: Video, frames: int, beside: SideBySide | None) -> list[str]:
    height, width = video.size
    warnings = []
    if video.damaged or frames < video.expected:
        of = f" of {video.expected}" if video.expected else ""
        warnings.append(f"damaged or cut off; {frames}{of} frames could be decoded")
    if video.pixel_aspect != 1:
        aspect = f"{video.pixel_aspect.numerator}:{video.pixel_aspect.denominator}"
        warnings.append(f"pixels of {aspect} became square; the frames are {width}x{height}")
    if video.transfer:
        warnings.append(f"HDR ({video.transfer}) was tone-mapped to SDR")
    warnings += [
        f"its {codec} audio does not fit into MP4 and is left out"
        for codec in (beside.sound.left_out if beside else [])
    ]
    return [f"{video.name}: {warning}" for warning in warnings]
