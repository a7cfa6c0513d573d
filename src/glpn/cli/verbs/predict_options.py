"""The options of `glpn predict`: the photos, the files, the places and the detail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import options
from glpn.cli.numbers import parse_place

if TYPE_CHECKING:
    from glpn.jobs.report import Places


class UncertaintyName(str, Enum):
    """The kinds of uncertainty, the same as `glpn.engines.uncertainty.UNCERTAINTIES`."""

    flip = "flip"
    droppath = "droppath"


Photos = Annotated[
    list[str],
    typer.Argument(
        metavar="PHOTO",
        help="Files, folders, quoted patterns such as 'holiday/*.jpg', or - for standard input.",
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        help="Folder for the files, created if needed; - writes one file to standard output.",
        rich_help_panel=options.FILES,
    ),
]
_At = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X,Y",
        help="Print the metres at this pixel. Repeatable.",
        rich_help_panel=options.MEASURE,
    ),
]
_Between = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X0,Y0,X1,Y1",
        help="Print the straight-line distance between two pixels. Repeatable.",
        rich_help_panel=options.MEASURE,
    ),
]
_Uncertainty = Annotated[
    UncertaintyName | None,
    typer.Option(
        help=(
            "Also compute a map of one standard deviation in metres, which ranks the pixels. "
            "It combines the measured errors (if the model has them) with the disagreement "
            "with the mirrored photo (flip) or among eight randomly thinned networks "
            "(droppath, needs torch). With png16 it is a second PNG (sigma), with npz a "
            "second array."
        ),
        rich_help_panel=options.DETAIL,
    ),
]
_Tiles = Annotated[
    str | None,
    typer.Option(
        metavar="N",
        help=(
            "Add detail to a large photo from N by N tiles; auto chooses N. The whole photo "
            "still determines the metres."
        ),
        rich_help_panel=options.DETAIL,
    ),
]
MaxMegapixels = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="Read JPEG photos of up to N million pixels (120 by default), and other formats in "
        "proportion (50).",
        rich_help_panel=options.FILES,
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help=(
            "Process the I-th of N shares of the photos; all shares may write to the same folder."
        ),
        rich_help_panel=options.FILES,
    ),
]
Sheet = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.png",
        help="Also write a contact sheet: up to 60 of the photos beside their depths.",
        rich_help_panel=options.FILES,
    ),
]


@dataclass(frozen=True)
class FormatGroup(options.FormatGroup):
    """The files to write for each photo; by default also a colour image."""

    format: options.Formats = "png16,vis"


@dataclass(frozen=True)
class PlaceGroup:
    """Where to measure."""

    at: _At = None
    between: _Between = None

    def parsed(self) -> Places:
        """Return the places as numbers; raises UsageError if one is not."""
        from glpn.jobs.report import Places

        return Places(
            at=[parse_place("--at", text, count=2) for text in self.at or ()],
            between=[parse_place("--between", text, count=4) for text in self.between or ()],
        )


@dataclass(frozen=True)
class DetailGroup:
    """What to add to the metres."""

    uncertainty: _Uncertainty = None
    tiles: _Tiles = None

    @property
    def kind(self) -> str | None:
        """The name of the uncertainty, if any."""
        return None if self.uncertainty is None else self.uncertainty.value
