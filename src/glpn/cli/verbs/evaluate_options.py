"""The options of `glpn evaluate`: the frames, the rules of scoring and the outputs."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import options

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
Dataset = Annotated[
    DatasetName | None,
    typer.Option(
        help="Dataset in the folder; recognised from its files if not given.",
        rich_help_panel=_FRAMES,
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="test|val|train",
        help="Take the frames of this list of the folder (SPLIT.txt); all frames if not given.",
        rich_help_panel=_FRAMES,
    ),
]
List = Annotated[
    Path | None,
    typer.Option(
        "--list",
        metavar="FILE",
        help="Take the frames of this list: names, or lines of rgb depth [focal].",
        rich_help_panel=_FRAMES,
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, help="Use at most this many frames, evenly spaced.", rich_help_panel=_FRAMES
    ),
]
Spec = Annotated[
    Path | None,
    typer.Option(
        metavar="TOML", help="A dataset.toml that describes the folder.", rich_help_panel=_FRAMES
    ),
]
Scale = Annotated[
    float | None,
    typer.Option(
        help="Raw depth units per metre: metres = (raw + offset) / scale.", rich_help_panel=_FRAMES
    ),
]
Offset = Annotated[float | None, typer.Option(help="Added to raw depth.", rich_help_panel=_FRAMES)]
Unit = Annotated[
    str | None,
    typer.Option(
        metavar="m|dm|cm|mm", help="Unit of raw depth, instead of --scale.", rich_help_panel=_FRAMES
    ),
]
Invalid = Annotated[
    str | None,
    typer.Option(
        metavar="RAW,…",
        help="Raw depths that mean unknown; or none. 0 if not given.",
        rich_help_panel=_FRAMES,
    ),
]
Border = Annotated[
    str | None,
    typer.Option(
        metavar="TOP,BOTTOM,LEFT,RIGHT",
        help="Pixels at the edges where depth is not to be trusted.",
        rich_help_panel=_FRAMES,
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Valid range and crop: nyu, kitti (Garg), kitti-eigen, sunrgbd, ibims, diode, "
        "diode-outdoor or folder; paper, the set's own, if not given.",
        rich_help_panel=_RULES,
    ),
]
Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="NEAR,FAR",
        help="Only true depths between these metres count.",
        rich_help_panel=_RULES,
    ),
]
Flip = Annotated[
    bool,
    typer.Option(
        "--flip", help="Average with the mirrored image's prediction.", rich_help_panel=_RULES
    ),
]
Align = Annotated[
    str,
    typer.Option(
        metavar="|".join(ALIGNMENTS),
        help="Fit each prediction to the truth first; disparity: in 1 / metres.",
        rich_help_panel=_RULES,
    ),
]
Clamp = Annotated[
    bool,
    typer.Option(
        "--clamp/--no-clamp", help="Clip predictions to the valid range.", rich_help_panel=_RULES
    ),
]
Pooled = Annotated[
    bool,
    typer.Option(
        "--pooled",
        help="Metrics over the pixels of all images, instead of means over images.",
        rich_help_panel=_RULES,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Folder for result.json, images.csv, result.md; made if need be.",
        rich_help_panel=options.FILES,
    ),
]
Report = Annotated[
    bool,
    typer.Option(
        "--report",
        help="Also write report.html: frames, error maps, error by distance, calibration.",
        rich_help_panel=options.FILES,
    ),
]
SavePngs = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Also save predictions as 16-bit PNG.", rich_help_panel=options.FILES
    ),
]
FromPngs = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Score saved predictions instead of a model's; there must be one for every frame.",
        rich_help_panel=options.FILES,
    ),
]
PngScale = Annotated[
    float | None,
    typer.Option(
        help="Units per metre of those PNGs; 256 for kitti, else 1000, if not given.",
        rich_help_panel=options.FILES,
    ),
]
Corruptions = Annotated[
    bool,
    typer.Option(
        "--corruptions",
        help="Score under the fifteen common corruptions instead; "
        "a run that was stopped goes on from robustness.jsonl in the output folder.",
        rich_help_panel=_STUDY,
    ),
]
Severities = Annotated[
    str,
    typer.Option(metavar="1,…,5", help="How bad, commas between.", rich_help_panel=_STUDY),
]
Compare = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="A.json B.json",
        help="Only compare two results on the same frames: a paired test.",
        rich_help_panel=options.OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace results.", rich_help_panel=options.FILES),
]
