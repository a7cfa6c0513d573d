"""The options of `glpn evaluate`: the frames, the rules of scoring and the outputs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import options
from glpn.cli.numbers import parse_numbers, positive
from glpn.errors import UsageError, require_choice

if TYPE_CHECKING:
    from glpn.evaluation.scoring import Selection

_NONE = "none"

_FRAMES, _RULES, _STUDY = "Frames", "Rules", "Robustness"  # headings in the help

# Each value of --align sets these fields of `glpn.evaluation.protocols.Protocol`.
ALIGNMENTS = {
    name + suffix: {"alignment": alignment, "alignment_space": space}
    for name, alignment in (("scale", "scale"), ("scale-shift", "scale+shift"))
    for suffix, space in (("", "depth"), (":disparity", "disparity"))
} | {name: {"alignment": name} for name in ("none", "median")}


class DatasetName(str, Enum):
    """The datasets with a known layout and protocol, and "folder" for any other."""

    nyu = "nyu"
    kitti = "kitti"
    sunrgbd = "sunrgbd"
    ibims = "ibims"
    diode = "diode"
    folder = "folder"


Data = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of the dataset.", rich_help_panel=_FRAMES),
]
Spec = Annotated[
    Path | None,
    typer.Option(
        metavar="TOML", help="A dataset.toml that describes the folder.", rich_help_panel=_FRAMES
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for result.json, images.csv and result.md; created if needed.",
        rich_help_panel=options.FILES,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, help="Use at most this many frames, evenly spaced.", rich_help_panel=_FRAMES
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace existing results.", rich_help_panel=options.FILES),
]


@dataclass(frozen=True)
class Frames:
    """The frames to score, and how to read them."""

    data: Data = None
    dataset: Annotated[
        DatasetName | None,
        typer.Option(
            help="Dataset in the folder. Default: recognised from its files.",
            rich_help_panel=_FRAMES,
        ),
    ] = None
    split: Annotated[
        str | None,
        typer.Option(
            metavar="test|val|train",
            help="Use the frames in this list of the folder (SPLIT.txt). Default: all frames.",
            rich_help_panel=_FRAMES,
        ),
    ] = None
    frame_list: Annotated[
        Path | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="Use the frames in this list: names, or lines of rgb depth [focal].",
            rich_help_panel=_FRAMES,
        ),
    ] = None
    limit: Limit = None
    spec: Spec = None
    scale: Annotated[
        float | None,
        typer.Option(
            help="Raw depth units per metre: metres = (raw + offset) / scale.",
            rich_help_panel=_FRAMES,
        ),
    ] = None
    offset: Annotated[
        float | None, typer.Option(help="Added to raw depth.", rich_help_panel=_FRAMES)
    ] = None
    unit: Annotated[
        str | None,
        typer.Option(
            metavar="m|dm|cm|mm",
            help="Unit of raw depth, instead of --scale.",
            rich_help_panel=_FRAMES,
        ),
    ] = None
    invalid: Annotated[
        str | None,
        typer.Option(
            metavar="RAW,…",
            help="Raw depth values that mean unknown; or none. Default: 0.",
            rich_help_panel=_FRAMES,
        ),
    ] = None
    border: Annotated[
        str | None,
        typer.Option(
            metavar="TOP,BOTTOM,LEFT,RIGHT",
            help="Width in pixels of the border where depth is ignored.",
            rich_help_panel=_FRAMES,
        ),
    ] = None

    def selection(self, model: str) -> Selection:
        """Return the frames to score.

        Args:
            model: as given; if it comes from a run on this folder, the run's own frames are left
                out.

        Raises:
            UsageError: there is no folder, an option has an impossible value, or both a split and
                a list are given.
        """
        from glpn.evaluation.scoring import Selection

        if self.data is None:
            raise UsageError("--data: give the dataset's folder")
        if self.split is not None and self.frame_list is not None:
            raise UsageError("--split: cannot be combined with --list")
        return Selection(
            data=self.data,
            dataset=None if self.dataset is None else self.dataset.value,
            spec=self.spec,
            changes=self._changes(),
            split=self.split,
            frame_list=self.frame_list,
            limit=self.limit,
            model=model or None,
        )

    def _changes(self) -> dict[str, object]:
        """Return the fields of `DatasetSpec` that the options set."""
        values: dict[str, object] = {
            "scale": positive("--scale", self.scale),
            "offset": self.offset,
            "unit": self.unit,
        }
        if self.invalid is not None:
            none = self.invalid == _NONE
            values["invalid"] = () if none else parse_numbers("--invalid", self.invalid)
        if self.border is not None:
            widths = parse_numbers("--border", self.border)
            if len(widths) not in (1, 4) or any(w < 0 or w != int(w) for w in widths):
                raise UsageError(f"--border: expected 1 or 4 widths in pixels, got {self.border!r}")
            values["border"] = tuple(map(int, widths * (4 // len(widths))))
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True)
class Rules:
    """The rules of scoring."""

    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=(
                "Valid range and crop: nyu, kitti (Garg), kitti-eigen, sunrgbd, ibims, diode, "
                "diode-outdoor or folder. Default: paper, the protocol of the dataset."
            ),
            rich_help_panel=_RULES,
        ),
    ] = None
    valid_range: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="NEAR,FAR",
            help="Only true depths between these metres count.",
            rich_help_panel=_RULES,
        ),
    ] = None
    flip: Annotated[
        bool,
        typer.Option(
            "--flip",
            help="Average with the prediction of the mirrored image.",
            rich_help_panel=_RULES,
        ),
    ] = False
    use_focal: Annotated[
        bool,
        typer.Option(
            "--use-focal",
            help="Scale the metres to the focal length of each frame's camera, as predict does.",
            rich_help_panel=_RULES,
        ),
    ] = False
    align: Annotated[
        str,
        typer.Option(
            metavar="|".join(ALIGNMENTS),
            help="First fit each prediction to the true depth; with :disparity, in 1 / metres.",
            rich_help_panel=_RULES,
        ),
    ] = "none"
    clamp: Annotated[
        bool,
        typer.Option(
            "--clamp/--no-clamp",
            help="Clip predictions to the valid range.",
            rich_help_panel=_RULES,
        ),
    ] = True
    pooled: Annotated[
        bool,
        typer.Option(
            "--pooled",
            help="Metrics over the pixels of all images, instead of means over images.",
            rich_help_panel=_RULES,
        ),
    ] = False

    def fields(self) -> dict[str, object]:
        """Return the fields of `Protocol` that the options set.

        Raises:
            UsageError: an option has an impossible value.
        """
        require_choice("--align", self.align, ALIGNMENTS)
        average = "pooled" if self.pooled else "per-image"
        rules: dict[str, object] = dict(ALIGNMENTS[self.align])
        rules |= {"flip": self.flip, "clamp": self.clamp, "average": average}
        if self.valid_range is not None:
            ends = parse_numbers("--range", self.valid_range)
            if len(ends) != 2:
                raise UsageError(f"--range: expected NEAR,FAR in metres, got {self.valid_range!r}")
            rules |= {"min_depth": ends[0], "max_depth": ends[1]}
        return rules


@dataclass(frozen=True)
class Files:
    """The files to write or to score."""

    output: Output = None
    report: Annotated[
        bool,
        typer.Option(
            "--report",
            help="Also write report.html: frames, error maps, error by distance, calibration.",
            rich_help_panel=options.FILES,
        ),
    ] = False
    write_errors: Annotated[
        bool,
        typer.Option(
            "--write-errors",
            help=(
                "Also write the errors by predicted depth to errors.json in the model folder, "
                "so that its predictions state their error. The frames must be held out from "
                "training."
            ),
            rich_help_panel=options.FILES,
        ),
    ] = False
    save_pngs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also save predictions as 16-bit PNG.",
            rich_help_panel=options.FILES,
        ),
    ] = None
    from_pngs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=(
                "Score saved predictions instead of running a model; there must be one for "
                "every frame."
            ),
            rich_help_panel=options.FILES,
        ),
    ] = None
    png_scale: Annotated[
        float | None,
        typer.Option(
            help="Units per metre of these PNGs. Default: 256 for kitti, otherwise 1000.",
            rich_help_panel=options.FILES,
        ),
    ] = None
    overwrite: Overwrite = False


@dataclass(frozen=True)
class Study:
    """Evaluations other than one score."""

    corruptions: Annotated[
        bool,
        typer.Option(
            "--corruptions",
            help="Score under the fifteen common corruptions instead; "
            "an interrupted run resumes from robustness.jsonl in the output folder.",
            rich_help_panel=_STUDY,
        ),
    ] = False
    severities: Annotated[
        str,
        typer.Option(
            metavar="1,…,5",
            help="Severities from 1 to 5, separated by commas.",
            rich_help_panel=_STUDY,
        ),
    ] = "1,2,3,4,5"
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="A.json B.json",
            help="Only compare two results on the same frames, with a paired test.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None

    def severity_levels(self) -> tuple[int, ...]:
        """Return --severities in order, each once.

        Raises:
            UsageError: one of them is not from 1 to 5.
        """
        wanted = parse_numbers("--severities", self.severities)
        if any(number not in range(1, 6) for number in wanted):
            raise UsageError(f"--severities: expected some of 1 to 5, got {self.severities!r}")
        return tuple(sorted({int(number) for number in wanted}))
