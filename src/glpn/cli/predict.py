"""`glpn predict`: photographs in, metres and files out."""

from __future__ import annotations

import math
import re
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glpn.cli import formats, options
from glpn.cli.lens import positive
from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.cli.answers import Questions


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
_Uncertainty = Annotated[
    UncertaintyName | None,
    typer.Option(
        help="Also estimate one standard deviation in metres, a lower bound of it, from the "
        "mirrored photograph (a second prediction) or from thinned-out networks (eight more, on "
        "torch). With png16 it is a second PNG (sigma), with npz a second array.",
        rich_help_panel=options.ANSWERS,
    ),
]
_Tiles = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help="Add detail to a large photograph from N by N pieces of it, or from as many as are "
        "good (auto). The metres stay those of the whole.",
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


def predict(
    photos: _Photos,
    output: _Output = Path("depth"),
    model: options.Model = "",
    format: options.Formats = "png16,vis",
    at: _At = None,
    between: _Between = None,
    colormap: options.Colormap = "inferno",
    scale: options.Scale = 1000,
    focal: options.Focal = None,
    fov: options.Fov = None,
    intrinsics: options.Intrinsics = None,
    ref: options.Ref = None,
    known: options.Known = None,
    uncertainty: _Uncertainty = None,
    tiles: _Tiles = None,
    max_depth: options.MaxDepth = None,
    recursive: options.Recursive = False,
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
    asked = options.asked(
        {
            "max-depth": max_depth,
            "precision": told,
            **call,
            "tiles": tiles,
            "ref": refs or None,
            "known": lengths or None,
        }
    )
    free = all(given is None for given in (focal, fov, intrinsics))
    call["tiles"] = _tiles(tiles, call["uncertainty"])
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
        formats=formats.names(format, uncertain=uncertainty is not None),
        options=formats.encoders(colormap=colormap, scale=scale),
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


def _tiles(text: str | None, uncertainty: str | None) -> int | None:
    """What --tiles means to the estimator.

    Raises:
        UsageError: it is no number of tiles, or an uncertainty is asked for too.
    """
    if text is None:
        return None
    from glpn.tiling import require_tiles

    if text != "auto" and not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise UsageError(f"--tiles: expected auto or a whole number from 1 on, got {text!r}")
    tiles = True if text == "auto" else int(text)
    require_tiles(tiles, uncertainty)
    return tiles


def _questions(at: list[str], between: list[str]) -> Questions:
    from glpn.cli.answers import Questions, parse_numbers

    return Questions(
        at=[parse_numbers(text, 2, option="--at") for text in at],
        between=[parse_numbers(text, 4, option="--between") for text in between],
    )
