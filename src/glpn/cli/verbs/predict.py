"""`glpn predict`: photographs in, metres and files out."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import options
from glpn.cli.predicting import Wishes, run


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
    output: _Output = Wishes.output,
    model: options.Model = Wishes.model,
    format: options.Formats = Wishes.format,
    at: _At = None,
    between: _Between = None,
    colormap: options.Colormap = Wishes.colormap,
    scale: options.Scale = 1000,
    focal: options.Focal = None,
    fov: options.Fov = None,
    intrinsics: options.Intrinsics = None,
    ref: options.Ref = None,
    known: options.Known = None,
    sparse: options.Sparse = None,
    sparse_scale: options.SparseScale = None,
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
    wishes = Wishes(
        photos=photos,
        output=output,
        model=model,
        format=format,
        at=at or (),
        between=between or (),
        colormap=colormap,
        scale=scale,
        focal=focal,
        fov=fov,
        intrinsics=intrinsics,
        ref=ref or (),
        known=known or (),
        sparse=sparse,
        sparse_scale=sparse_scale,
        uncertainty=None if uncertainty is None else uncertainty.value,
        tiles=tiles,
        max_depth=max_depth,
        recursive=recursive,
        shard=shard,
        sheet=sheet,
        overwrite=overwrite,
        as_json=as_json,
        quiet=quiet,
        engine=engine.value,
        device=device,
        threads=threads,
        precision=precision.value,
    )
    raise typer.Exit(run(wishes))
