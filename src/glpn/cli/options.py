"""Options that several verbs have: one name, one meaning, one help text."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.engines.registry import engine_names
from glpn.files import FORMATS

ANSWERS, CAMERA, FILES, MODEL = "Answers", "Camera", "Files", "Model"  # headings of the help


if TYPE_CHECKING:

    class EngineName(str, Enum):
        """The values of --engine: "auto" and the engines of the table."""

        auto = "auto"

else:
    EngineName = Enum("EngineName", {name: name for name in engine_names()}, type=str)


class PrecisionName(str, Enum):
    """The values of --precision; those of `glpn.engines.precision.PRECISIONS`."""

    auto = "auto"
    float32 = "float32"
    reduced = "reduced"


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A bundled name (see glpn models), a folder, or a hub id user/name; the bundled "
        "indoor model if not given.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
MaxDepth = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help="The model's range, where its own figure is wrong: 80 for published KITTI weights.",
        rich_help_panel=MODEL,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace files instead of keeping them.", rich_help_panel=FILES
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object a line, and nothing else there.",
        rich_help_panel=ANSWERS,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Print errors only (and what --json prints).",
        rich_help_panel=ANSWERS,
    ),
]
Engine = Annotated[EngineName, typer.Option(help="What runs the network.", rich_help_panel=MODEL)]
Precision = Annotated[
    PrecisionName,
    typer.Option(
        help="float32; reduced, which is faster and less accurate, for weights that passed "
        "glpn precision; or auto: reduced where it is available and faster.",
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", rich_help_panel=MODEL)]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="CPU threads; one for each core if not given.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Intrinsics = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Camera calibration instead of --focal: a 3x3 matrix, or a file of OpenCV, ROS, "
        "COLMAP, Kalibr, RealSense, OAK, Azure Kinect, ZED, ARKit or KITTI; scaled to the photo, "
        "with lens distortion.",
        rich_help_panel=CAMERA,
    ),
]
Ref = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X,Y,METRES",
        help="A depth measured at this pixel, along the optical axis. One sets the scale, several "
        "also shift the depth.",
        rich_help_panel=CAMERA,
    ),
]
Known = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X0,Y0,X1,Y1,METRES",
        help="A known length. One sets the scale; two, one across the photo and one away from "
        "the camera, also set the focal length.",
        rich_help_panel=CAMERA,
    ),
]
Sparse = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Sparse or low-resolution depth of the photo, from LiDAR, SLAM or a phone's sensor: "
        "rows of x,y,metres (.csv, .txt), or a depth map of any size. It fits scale, shift and a "
        "smooth local correction, and tolerates outliers.",
        rich_help_panel=CAMERA,
    ),
]
SparseScale = Annotated[
    float | None,
    typer.Option(
        metavar="UNITS",
        help="Units per metre of a --sparse file that does not state them: 1000 for millimetres, "
        "5000 for TUM, 256 for KITTI.",
        show_default=False,
        rich_help_panel=CAMERA,
    ),
]
Focal = Annotated[
    float | None,
    typer.Option(
        metavar="PIXELS",
        help="Focal length; from EXIF, or a stated guess, if not given.",
        rich_help_panel=CAMERA,
    ),
]
Fov = Annotated[
    float | None,
    typer.Option(
        metavar="DEGREES",
        help="Horizontal field of view, instead of --focal.",
        rich_help_panel=CAMERA,
    ),
]
Scale = Annotated[
    float,
    typer.Option(
        help="Units per metre in png16: 1000 is millimetres, up to 65 m; 256 is KITTI's, up "
        "to 255 m.",
        rich_help_panel=FILES,
    ),
]
Formats = Annotated[
    str,
    typer.Option(
        help="Files to write, separated by commas: "
        + ", ".join(f"{row.name} ({row.help})" for row in FORMATS.values())
        + "; or none.",
        rich_help_panel=FILES,
    ),
]
Colormap = Annotated[
    str,
    typer.Option(
        help="Colours of vis: inferno, magma, plasma, viridis, turbo, spectral_r or gray.",
        rich_help_panel=FILES,
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Look into the folders of folders too.")
]
