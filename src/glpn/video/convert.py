"""The corridor of films: read → predict → smooth → write.

Each of the three runs while the others do, a few frames apart: a thread decodes, others predict,
and the caller's own smooths and writes. What a camera sees now is done frame by frame instead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glpn.concurrency import map_ordered, prefetch
from glpn.depth.colormaps import ROBUST_PERCENTILES, color_table
from glpn.errors import DataError, UsageError
from glpn.estimator import DepthEstimator
from glpn.files.png import MILLIMETRES
from glpn.jobs import SharedEstimator
from glpn.video.reading import Film, Frame, open_film
from glpn.video.sequences import npz_chunks, png_frames
from glpn.video.side_by_side import Colors, SideBySide, side_by_side
from glpn.video.smoothing import FlickerMeter, PhotoWatch, Smoother

FORMATS = ("mp4", "png16", "npz")
HEAD_ROOM = 1.25  # the first second's range is widened by this factor at both ends
_PROBES = 8  # frames of the first second that choose the range
_PROBED_PIXELS = 20_000  # of each


@dataclass(frozen=True)
class Look:
    """What is written, and how.

    Attributes:
        format: one of FORMATS.
        smooth: smooth the depth over time where the photograph stands still.
        colormap, near, far: colours of mp4; an end that is None is chosen from the first second.
        scale: units per metre of png16.
        overwrite: replace what is there.

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

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UsageError(f"format: expected {', '.join(FORMATS)}; got {self.format!r}")
        color_table(self.colormap)
        if not 0 < self.scale < float("inf"):
            raise UsageError(f"scale: expected a number above 0, got {self.scale:g}")
        near, far = 0 if self.near is None else self.near, self.far
        if not 0 <= near < (float("inf") if far is None else far):
            raise UsageError(f"near, far: expected 0 <= near < far in metres, got {near} and {far}")


@dataclass
class Summary:
    """What came of a film.

    Attributes:
        written: the file or folder; None where the frames were only shown.
        format: of it.
        frames: how many were written.
        size: height and width of the film.
        rate: frames per second.
        cuts: how many scenes follow the first.
        flicker: mean absolute change of log depth on unchanged pixels, as predicted.
        flicker_smoothed: the same after smoothing; None without it.
        range: near and far of the colours, in metres; None where nothing is coloured.
        audio: codecs of the streams that were copied.
        warnings: what went less than well, each a sentence.
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
    audio: list[str]
    warnings: list[str]


class Sink(Protocol):
    """Takes the frames of one film in order."""

    def write(self, frame: Frame, metres: NDArray[np.float32]) -> None:
        """One frame, and its metres [H, W]."""


def convert(
    source: str | Path | Film,
    output: str | Path | None,
    model: DepthEstimator | SharedEstimator,
    *,
    look: Look | None = None,
    seen: Callable[[Frame, NDArray[np.float32]], None] = lambda frame, metres: None,
) -> Summary:
    """Predict every frame of a film; the output appears, complete, at the end.

    Args:
        source: any film that PyAV decodes, or an open one.
        output: a file for mp4, a folder for png16 and npz; None writes nothing.
        model: predicts each frame; a `SharedEstimator` several side by side, where that is faster.
        look: what is written; an MP4 with the defaults of `Look` if None.
        seen: called with each frame and its metres [H, W], after they are written.

    Raises:
        MissingDependency: PyAV is not installed.
        MissingInput, DataError: there is no such film, or it cannot be decoded.
        UsageError: the output is the film itself, or the depth does not fit the format.
        CannotCreateOutput, OutputFailed: the output cannot be begun, or not finished.
    """
    look = look or Look()
    estimator = model.estimator() if isinstance(model, SharedEstimator) else model
    lanes = model.concurrency if isinstance(model, SharedEstimator) else 1
    film = source if isinstance(source, Film) else open_film(source)
    path = None if output is None else Path(output)
    if path and path.exists() and not film.live and path.samefile(film.path):
        raise UsageError(f"{film.name}: the output would replace the film")
    colors = choose_colors(film, estimator, look) if path and look.format == "mp4" else None
    work = _Work(look.smooth)
    with _sink(film, path, estimator, look, colors) as sink:
        with closing(_predicted(film, estimator, lanes)) as frames:
            for frame, predicted in frames:
                metres = work.metres(frame, predicted)
                if sink is not None:
                    sink.write(frame, metres)
                seen(frame, metres)
        if not work.frames:
            raise DataError(f"{film.name}: none of its frames can be decoded")
    return _summary(film, path, look, work, sink)


def _predicted(
    film: Film, estimator: DepthEstimator, lanes: int
) -> Generator[tuple[Frame, NDArray[np.float32]], None, None]:
    """Every frame with its metres [H, W]; ahead of the caller, unless the film is live."""

    def predict(frame: Frame) -> tuple[Frame, NDArray[np.float32]]:
        return frame, estimator.metres(frame.pixels)

    def predicted() -> Generator[tuple[Frame, NDArray[np.float32]], None, None]:
        with closing(film.frames()) as frames:
            yield from map_ordered(predict, frames, threads=lanes if lanes > 1 else 0)

    return prefetch(predicted(), name="predict") if lanes == 1 and not film.live else predicted()


def choose_colors(film: Film, estimator: DepthEstimator, look: Look) -> Colors:
    """The range of colours that was asked for, filled up from the first second of the film.

    An end that was not given is the 2nd or 98th percentile of some frames of that second, with
    head room.
    """
    near, far = look.near, look.far
    if near is None or far is None:
        low, high = np.percentile(_first_second(film, estimator), ROBUST_PERCENTILES)
        near = float(low) / HEAD_ROOM if near is None else near
        far = float(high) * HEAD_ROOM if far is None else far
    if not near < far:
        near, far = (near, near * HEAD_ROOM) if look.far is None else (far / HEAD_ROOM, far)
    return Colors(look.colormap, near, far)


def _first_second(film: Film, estimator: DepthEstimator) -> NDArray[np.float32]:
    """Some metres of evenly spread frames of the first second."""
    every = max(1, round(film.rate / _PROBES))
    found: list[NDArray[np.float32]] = []
    with closing(film.frames()) as frames:
        for frame in frames:
            if frame.index >= film.rate and found:
                break
            if frame.index % every == 0:
                metres = estimator.metres(frame.pixels).reshape(-1)
                found.append(metres[:: max(1, len(metres) // _PROBED_PIXELS)])
    if not found:
        raise DataError(f"{film.name}: none of its frames can be decoded")
    return np.concatenate(found)


class _Work:
    """Metres of frame after frame, smoothed where wanted, and the figures about them."""

    def __init__(self, smooth: bool) -> None:
        self.frames = self.cuts = 0
        self.watch = PhotoWatch()
        self.flicker = FlickerMeter()
        self.smoother = Smoother() if smooth else None
        self.flicker_smoothed = FlickerMeter()

    def metres(self, frame: Frame, metres: NDArray[np.float32]) -> NDArray[np.float32]:
        """Metres [H, W] to write, from those that were predicted."""
        change = self.watch(frame.pixels)
        self.cuts += change.cut and self.frames > 0
        self.frames += 1
        self.flicker.add(metres, change)
        if self.smoother is not None:
            metres = self.smoother(metres, change)
            self.flicker_smoothed.add(metres, change)
        return metres


def _sink(
    film: Film, output: Path | None, estimator: DepthEstimator, look: Look, colors: Colors | None
) -> AbstractContextManager[Sink | None]:
    if output is None:
        return nullcontext()
    if colors is not None:
        return side_by_side(output, film, colors, overwrite=look.overwrite)
    origin = estimator.provenance
    if look.format == "png16":
        return png_frames(output, film, origin, scale=look.scale, overwrite=look.overwrite)
    return npz_chunks(output, film, origin, overwrite=look.overwrite)


def _summary(
    film: Film, output: Path | None, look: Look, work: _Work, sink: Sink | None
) -> Summary:
    beside = sink if isinstance(sink, SideBySide) else None
    return Summary(
        written=None if output is None else str(output),
        format=look.format,
        frames=work.frames,
        size=film.size,
        rate=float(film.rate),
        cuts=work.cuts,
        flicker=work.flicker.value,
        flicker_smoothed=work.flicker_smoothed.value if look.smooth else None,
        range=(beside.colors.near, beside.colors.far) if beside else None,
        audio=beside.sound.copied if beside else [],
        warnings=_warnings(film, work.frames, beside),
    )


def _warnings(film: Film, frames: int, beside: SideBySide | None) -> list[str]:
    told = []
    if film.damaged or frames < film.expected:
        of = f" of {film.expected}" if film.expected else ""
        told.append(f"{film.name}: damaged or cut off; {frames}{of} frames could be decoded")
    told += [
        f"{film.name}: its {codec} audio does not go into MP4 and is left out"
        for codec in (beside.sound.left_out if beside else [])
    ]
    return told
