"""`glpn video`: a film in, a film or a sequence of depth out."""

from __future__ import annotations

import math
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options

if TYPE_CHECKING:
    from glpn.video import Summary


class FilmFormat(str, Enum):
    """What is written; `glpn.video.FORMATS`."""

    mp4 = "mp4"
    png16 = "png16"
    npz = "npz"


_Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="File for mp4; folder for png16 and npz.",
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
    film: Annotated[
        Path, typer.Argument(metavar="FILM", help="MP4, MOV, MKV, WEBM, AVI and the like.")
    ],
    output: _Output,
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
    """Estimate the depth of every frame of a film.

    Frame count, time stamps and audio stay; the range of colours is the same all over the film.

    Examples:

      glpn video walk.mp4 -o walk-depth.mp4 --smooth
      glpn video walk.mp4 -o walk-frames --format png16
    """
    from glpn.errors import UsageError
    from glpn.estimator import DEFAULT_MODEL, load
    from glpn.video import Look, convert, open_film

    if max_depth is not None and not 0 < max_depth < math.inf:
        raise UsageError(f"--max-depth: expected a number above 0, got {max_depth:g}")
    look = Look(
        format=format.value,
        smooth=smooth,
        colormap=colormap,
        near=near,
        far=far,
        scale=scale,
        overwrite=overwrite,
    )
    frames = open_film(film).expected
    estimator = load(
        model or DEFAULT_MODEL,
        engine=engine.value,
        device=device,
        threads=threads,
        max_depth=max_depth,
        precision=precision.value,
    )
    with console.progress(frames, quiet=quiet or as_json) as advance:
        summary = convert(film, output, estimator, look=look, advance=advance)
    _report(summary, as_json=as_json, quiet=quiet)


def _report(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        console.say_json(asdict(summary))
    elif not quiet:
        for line in _lines(summary):
            console.say(console.escaped(line))
    if not quiet and not as_json:
        for warning in summary.warnings:
            console.note(f"warning: {console.escaped(warning)}")


def _lines(summary: Summary) -> list[str]:
    """The summary in words."""
    height, width = summary.size
    cuts = "no cut" if not summary.cuts else f"{summary.cuts} cut{'s' * (summary.cuts > 1)}"
    lines = [
        f"{summary.written}: {summary.frames} frames of {width}x{height} at {summary.rate:g}/s, "
        f"{cuts}, audio {' and '.join(summary.audio) or 'none'}"
    ]
    if summary.range is not None:
        lines.append("colours from {:.2f} to {:.2f} m all over the film".format(*summary.range))
    if summary.flicker is not None:
        flicker = f"flicker {summary.flicker:.2%} a frame where the picture stands still"
        if summary.flicker_smoothed is not None:
            flicker += f", {summary.flicker_smoothed:.2%} smoothed"
        lines.append(flicker)
    return lines
