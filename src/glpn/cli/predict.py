"""`glpn predict`: photographs in, metres and files out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glpn.cli import options
from glpn.cli.lens import positive
from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.cli.answers import Questions

_NO_FORMAT = "none"
_SIGMA = "sigma"


class UncertaintyName(str, Enum):
    """What an uncertainty is told from; `glpn.estimator.UNCERTAINTIES`."""

    flip = "flip"
    droppath = "droppath"


_Photos = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTO",
        help="Files, folders, quoted patterns such as 'holiday/*.jpg', or - for standard "
        "input. JPEG, PNG and WEBP are read.",
    ),
]
_Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder for the files; made if need be.",
        rich_help_panel=options.FILES,
    ),
]
_Formats = Annotated[
    str,
    typer.Option(
        help="Files to write, commas between: png16 (16-bit millimetres), vis (colours), npz, "
        "exr, tiff (floats in metres), ply (points), glb (mesh), sigma (the uncertainty as 16-bit "
        "millimetres); or none.",
        rich_help_panel=options.FILES,
    ),
]
_At = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X,Y",
        help="Say the metres at this pixel. May be repeated.",
        rich_help_panel=options.ANSWERS,
    ),
]
_Between = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X0,Y0,X1,Y1",
        help="Say the metres from one pixel to another, in a straight line. May be repeated.",
        rich_help_panel=options.ANSWERS,
    ),
]
_Colormap = Annotated[
    str,
    typer.Option(
        help="Colours of vis: inferno, magma, plasma, viridis, turbo, spectral_r or gray.",
        rich_help_panel=options.FILES,
    ),
]
_Uncertainty = Annotated[
    UncertaintyName | None,
    typer.Option(
        help="Also estimate one standard deviation in metres, a lower bound of it, from the "
        "mirrored photograph (a second prediction) or from thinned-out networks (eight more, on "
        "torch). With png16 it is a second PNG (sigma), with npz a second array.",
        rich_help_panel=options.ANSWERS,
    ),
]
_Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do the I-th of N shares of the photographs; all shares may have one folder.",
        rich_help_panel=options.FILES,
    ),
]
_Sheet = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.png",
        help="Also write a contact sheet: up to 60 of the photographs beside their depths.",
        rich_help_panel=options.FILES,
    ),
]
_Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Look into the folders of folders too.")
]


def predict(
    photos: _Photos,
    output: _Output = Path("depth"),
    model: options.Model = "",
    format: _Formats = "png16,vis",
    at: _At = None,
    between: _Between = None,
    colormap: _Colormap = "inferno",
    scale: options.Scale = 1000,
    focal: options.Focal = None,
    fov: options.Fov = None,
    intrinsics: options.Intrinsics = None,
    ref: options.Ref = None,
    known: options.Known = None,
    uncertainty: _Uncertainty = None,
    max_depth: options.MaxDepth = None,
    recursive: _Recursive = False,
    shard: _Shard = None,
    sheet: _Sheet = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    engine: options.Engine = options.EngineName.auto,
    device: options.Device = "auto",
    threads: options.Threads = None,
    precision: options.Precision = options.PrecisionName.auto,
) -> None:
    """Estimate the distance in metres of every pixel of photographs.

    Writes a 16-bit PNG and a colour picture of each, and prints a line of figures.

    What is there of the same photograph, model and options is kept; one bad photograph never
    stops the rest. A folder is a job: run the same line again, and it goes on where it was ended.

    Examples:

      glpn predict kitchen.jpg
      glpn predict kitchen.jpg --at 320,240 --between 100,400,500,400
      glpn predict holiday/ -o maps --format npz,glb --fov 67
      glpn predict kitchen.jpg --uncertainty flip
      cat kitchen.jpg | glpn predict - --json --format none
    """
    from glpn.cli import lens
    from glpn.cli.batch import Batch, Request
    from glpn.cli.inputs import gather, is_job
    from glpn.estimator import DEFAULT_MODEL
    from glpn.jobs import Shard

    refs, lengths = ref or [], known or []
    call: dict[str, Any] = {
        **lens.camera(focal=focal, fov=fov, intrinsics=intrinsics),
        "uncertainty": None if uncertainty is None else uncertainty.value,
    }
    told = None if precision is options.PrecisionName.auto else precision.value
    asked = _asked(
        {
            "max-depth": max_depth,
            "precision": told,
            **call,
            "ref": refs or None,
            "known": lengths or None,
        }
    )
    free = all(given is None for given in (focal, fov, intrinsics))
    call["tape"] = lens.tape(refs, lengths, free=free)
    request = Request(
        model={
            "model": model or DEFAULT_MODEL,
            "engine": _engine(engine, uncertainty),
            "device": device,
            "threads": threads,
            "max_depth": positive("--max-depth", max_depth, math.inf),
            "precision": precision.value,
        },
        output=output,
        formats=_formats(format, uncertain=uncertainty is not None),
        options=_format_options(colormap=colormap, scale=scale),
        call=call,
        asked=asked,
        questions=_questions(at or [], between or []),
        shard=None if shard is None else Shard.parse(shard),
        sheet=sheet,
        as_job=is_job(photos),
        overwrite=overwrite,
        as_json=as_json,
        quiet=quiet,
    )
    inputs, failures = gather(photos, recursive=recursive)
    raise typer.Exit(Batch(request).run(inputs, failures))


def _engine(engine: options.EngineName, uncertainty: UncertaintyName | None) -> str:
    """The engine to open: auto is torch where no other can tell the uncertainty.

    Raises:
        UsageError: the engine asked for cannot.
    """
    if uncertainty is not UncertaintyName.droppath:
        return engine.value
    if engine not in (options.EngineName.auto, options.EngineName.torch):
        raise UsageError(f"--uncertainty droppath: needs --engine torch, got {engine.value}")
    return options.EngineName.torch.value


def _formats(text: str, *, uncertain: bool) -> list[str]:
    """The formats asked for, each once; an uncertainty joins a 16-bit PNG.

    Raises:
        UsageError: one is unknown, or sigma is wanted without an uncertainty.
    """
    from glpn.files import FORMATS

    if text == _NO_FORMAT:
        return []
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in FORMATS:
            known = ", ".join(FORMATS)
            raise UsageError(f"--format: expected {_NO_FORMAT} or some of {known}; got {name!r}")
    if _SIGMA in names and not uncertain:
        raise UsageError("--format sigma: needs --uncertainty flip or droppath")
    if uncertain and "png16" in names and _SIGMA not in names:
        names.append(_SIGMA)
    return names


def _format_options(*, colormap: str, scale: float) -> dict[str, dict[str, Any]]:
    """Options of the encoders.

    Raises:
        UsageError: the colour map is unknown, or the scale no number above 0.
    """
    from glpn.colormaps import color_table

    color_table(colormap)
    units = {"scale": positive("--scale", scale, math.inf)}
    return {
        "png16": units,
        _SIGMA: units,
        "vis": {"colormap": colormap},
    }


def _asked(values: Mapping[str, object]) -> str:
    """Options that change the metres, those that were given, as text."""
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def _questions(at: list[str], between: list[str]) -> Questions:
    from glpn.cli.answers import Questions, parse_numbers

    return Questions(
        at=[parse_numbers(text, 2, option="--at") for text in at],
        between=[parse_numbers(text, 4, option="--between") for text in between],
    )
