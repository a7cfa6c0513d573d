"""`glpn video`: a film or a camera in, a film or a sequence of depth out, or a live window."""

from __future__ import annotations

from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options
from glpn.concurrency import stop_signals
from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.engines.options import EngineOptions
    from glpn.video import Look, Summary


_UNTOLD = 1000  # frames of a film that does not tell their number


class FilmFormat(str, Enum):
    """What is written; `glpn.video.FORMATS`."""

    mp4 = "mp4"
    png16 = "png16"
    npz = "npz"


_Film = Annotated[
    Path | None, typer.Argument(metavar="FILM", help="MP4, MOV, MKV, WEBM, AVI and the like.")
]
_Camera = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        min=0,
        help="A camera instead of a film, from 0 on: shown in a window where there is a display, "
        "until q is pressed.",
        rich_help_panel=options.FILES,
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File for mp4; folder for png16 and npz. A camera needs none.",
        rich_help_panel=options.FILES,
    ),
]
_Format = Annotated[
    FilmFormat,
    typer.Option(
        help="mp4: the photograph beside colours; png16: a 16-bit PNG in millimetres a frame; "
        "npz: metres and seconds in chunks of frames.",
        rich_help_panel=options.FILES,
    ),
]
_Smooth = Annotated[
    bool,
    typer.Option(
        "--smooth",
        help="Smooth the depth over time where the picture stands still, and say by how much it "
        "flickers less.",
    ),
]
_Colormap = Annotated[
    str,
    typer.Option(
        help="Colours of mp4: inferno, magma, plasma, viridis, turbo, spectral_r or gray.",
        rich_help_panel=options.FILES,
    ),
]
_Near = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help="Where the colours of mp4 begin; chosen from the first second if not given.",
        rich_help_panel=options.FILES,
    ),
]
_Far = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help="Where the colours of mp4 end; chosen from the first second if not given.",
        rich_help_panel=options.FILES,
    ),
]


def video(
    film: _Film = None,
    output: _Output = None,
    camera: _Camera = None,
    model: options.Model = "",
    format: _Format = FilmFormat.mp4,
    smooth: _Smooth = False,
    colormap: _Colormap = "inferno",
    near: _Near = None,
    far: _Far = None,
    scale: options.Scale = 1000,
    max_depth: options.MaxDepth = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    engine: options.Engine = options.EngineName.auto,
    device: options.Device = "auto",
    threads: options.Threads = None,
    precision: options.Precision = options.PrecisionName.auto,
) -> None:
    """Estimate the depth of every frame of a film, or of what a camera sees.

    Frame count, time stamps and audio stay; the range of colours is the same all over the film.
    A camera's frames are dropped, not queued, where the network is slower.

    Examples:

      glpn video walk.mp4 -o walk-depth.mp4 --smooth
      glpn video walk.mp4 -o walk-frames --format png16
      glpn video --camera 0
    """
    from glpn.video import Look

    if (film is None) == (camera is None):
        raise UsageError("give either a FILM or --camera NUMBER")
    opened = options.engine_options(
        model, engine, device, threads=threads, max_depth=max_depth, precision=precision
    )
    look = Look(
        format=format.value,
        smooth=smooth,
        colormap=colormap,
        near=near,
        far=far,
        scale=scale,
        overwrite=overwrite,
    )
    if film is None:
        summary = _watch(camera or 0, output, opened, look)
    else:
        summary = _convert(film, output, opened, look=look, quiet=quiet or as_json)
    _report(summary, as_json=as_json, quiet=quiet)


def _convert(
    film: Path, output: Path | None, engine: EngineOptions, *, look: Look, quiet: bool
) -> Summary:
    """The depth of a film's frames, with its progress."""
    from glpn.jobs import SharedEstimator
    from glpn.video import convert, open_film

    if output is None:
        raise UsageError("--output: a film needs one")
    opened = open_film(film)
    network = SharedEstimator(engine, photos=opened.expected or _UNTOLD)
    with console.progress(opened.expected, quiet=quiet, unit="frames") as advance:
        return convert(opened, output, network, look=look, seen=lambda *_: advance())


def _watch(number: int, output: Path | None, engine: EngineOptions, look: Look) -> Summary:
    """What a camera sees, in a window where there is a display, until somebody ends it."""
    from glpn.estimator import DepthEstimator
    from glpn.video import choose_colors, convert
    from glpn.video.webcam import open_webcam, webcam_device
    from glpn.video.window import open_window

    estimator = DepthEstimator.open(engine)
    with open_webcam(webcam_device(number)) as webcam, stop_signals(lambda _: webcam.stop()):
        colors = choose_colors(webcam, estimator, look)
        look = replace(look, near=colors.near, far=colors.far)
        with open_window(colors, webcam, needed=output is None) as show:
            return convert(webcam, output, estimator, look=look, seen=show)


def _report(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        console.print_json(asdict(summary))
    elif not quiet:
        for line in _lines(summary):
            console.print_line(console.escaped(line))
    if not quiet and not as_json:
        for warning in summary.warnings:
            console.note(f"warning: {console.escaped(warning)}")


def _lines(summary: Summary) -> list[str]:
    """The summary in words."""
    height, width = summary.size
    cuts = "no cut" if not summary.cuts else f"{summary.cuts} cut{'s' * (summary.cuts > 1)}"
    lines = [
        f"{summary.written or 'shown'}: {summary.frames} frames of {width}x{height} "
        f"at {summary.rate:g}/s, {cuts}, audio {' and '.join(summary.audio) or 'none'}"
    ]
    if summary.range is not None:
        lines.append("colours from {:.2f} to {:.2f} m all over the film".format(*summary.range))
    if summary.flicker is not None:
        flicker = f"flicker {summary.flicker:.2%} a frame where the picture stands still"
        if summary.flicker_smoothed is not None:
            flicker += f", {summary.flicker_smoothed:.2%} smoothed"
        lines.append(flicker)
    return lines
