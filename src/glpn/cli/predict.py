"""`glpn predict`: photographs in, metres and files out."""

from __future__ import annotations

import math
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.cli.answers import Questions

_NO_FORMAT = "none"
_ANSWERS, _FILES, _MODEL = "Answers", "Files", "Model"  # headings of the help


class EngineName(str, Enum):
    """What may run the network."""

    auto = "auto"
    onnxruntime = "onnxruntime"
    torch = "torch"


def predict(
    photos: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO",
            help="Files, folders, quoted patterns such as 'holiday/*.jpg', or - for standard "
            "input. JPEG, PNG and WEBP are read.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder for the files; made if need be.", rich_help_panel=_FILES
        ),
    ] = Path("depth"),
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="A bundled name (see glpn models), a folder, or a hub id user/name; the bundled "
            "indoor model if not given.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = "",
    format: Annotated[
        str,
        typer.Option(
            help="Files to write, commas between: png16 (16-bit millimetres), vis (colours), npz, "
            "exr, tiff (floats in metres), ply (points), glb (mesh); or none.",
            rich_help_panel=_FILES,
        ),
    ] = "png16,vis",
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y",
            help="Say the metres at this pixel. May be repeated.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    between: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1",
            help="Say the metres from one pixel to another, in a straight line. May be repeated.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    colormap: Annotated[
        str,
        typer.Option(
            help="Colours of vis: inferno, magma, plasma, viridis, turbo, spectral_r or gray.",
            rich_help_panel=_FILES,
        ),
    ] = "inferno",
    scale: Annotated[
        float,
        typer.Option(
            help="Units per metre in png16: 1000 is millimetres, up to 65 m; 256 is KITTI's, up "
            "to 255 m.",
            rich_help_panel=_FILES,
        ),
    ] = 1000,
    focal: Annotated[
        float | None,
        typer.Option(
            metavar="PIXELS",
            help="Focal length; from EXIF, or a stated guess, if not given.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    fov: Annotated[
        float | None,
        typer.Option(
            metavar="DEGREES",
            help="Horizontal field of view, instead of --focal.",
            rich_help_panel=_ANSWERS,
        ),
    ] = None,
    max_depth: Annotated[
        float | None,
        typer.Option(
            metavar="METRES",
            help="The model's range, where its own figure is wrong: 80 for published KITTI "
            "weights.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into the folders of folders too.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace files instead of keeping them.", rich_help_panel=_FILES
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object a line, and nothing else there.",
            rich_help_panel=_ANSWERS,
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Print errors only (and what --json prints).",
            rich_help_panel=_ANSWERS,
        ),
    ] = False,
    engine: Annotated[
        EngineName, typer.Option(help="What runs the network.", rich_help_panel=_MODEL)
    ] = EngineName.auto,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=_MODEL)
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="CPU threads; one for each core if not given.",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
) -> None:
    """Estimate the distance in metres of every pixel of photographs.

    Writes a 16-bit PNG and a colour picture of each, and prints a line of figures.

    Files that are there and complete are kept; one bad photograph never stops the rest.

    Examples:

      glpn predict kitchen.jpg
      glpn predict kitchen.jpg --at 320,240 --between 100,400,500,400
      glpn predict holiday/ -o maps --format npz,glb --fov 67
      cat kitchen.jpg | glpn predict - --json --format none
    """
    from glpn.cli.batch import Batch, Request
    from glpn.cli.inputs import gather
    from glpn.estimator import DEFAULT_MODEL

    request = Request(
        model={
            "model": model or DEFAULT_MODEL,
            "engine": engine.value,
            "device": device,
            "threads": threads,
            "max_depth": _between("--max-depth", max_depth, math.inf),
        },
        output=output,
        formats=_formats(format),
        options=_format_options(colormap=colormap, scale=scale),
        **_lens(focal=focal, fov=fov),
        questions=_questions(at or [], between or []),
        overwrite=overwrite,
        as_json=as_json,
        quiet=quiet,
    )
    inputs, failures = gather(photos, recursive=recursive)
    raise typer.Exit(Batch(request).run(inputs, failures))


def _formats(text: str) -> list[str]:
    """The formats asked for, each once.

    Raises:
        UsageError: one is unknown.
    """
    from glpn.files import FORMATS

    if text == _NO_FORMAT:
        return []
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in FORMATS:
            known = ", ".join(FORMATS)
            raise UsageError(f"--format: expected {_NO_FORMAT} or some of {known}; got {name!r}")
    return names


def _format_options(*, colormap: str, scale: float) -> dict[str, dict[str, Any]]:
    """Options of the encoders.

    Raises:
        UsageError: the colour map is unknown, or the scale no number above 0.
    """
    from glpn.colormaps import color_table

    color_table(colormap)
    return {
        "png16": {"scale": _between("--scale", scale, math.inf)},
        "vis": {"colormap": colormap},
    }


def _lens(*, focal: float | None, fov: float | None) -> dict[str, float | None]:
    """What the user knows of the camera, as fields of Request.

    Raises:
        UsageError: both, or an impossible figure.
    """
    if focal is not None and fov is not None:
        raise UsageError("--focal, --fov: give at most one of them")
    return {"focal": _between("--focal", focal, math.inf), "fov": _between("--fov", fov, 180)}


def _between(option: str, value: float | None, limit: float) -> float | None:
    """The value of an option, if it lies above 0 and below the limit.

    Raises:
        UsageError: it does not.
    """
    if value is not None and not 0 < value < limit:
        up = "" if limit == math.inf else f" and below {limit:g}"
        raise UsageError(f"{option}: expected a number above 0{up}, got {value:g}")
    return value


def _questions(at: list[str], between: list[str]) -> Questions:
    from glpn.cli.answers import Questions, parse_numbers

    return Questions(
        at=[parse_numbers(text, 2, option="--at") for text in at],
        between=[parse_numbers(text, 4, option="--between") for text in between],
    )
