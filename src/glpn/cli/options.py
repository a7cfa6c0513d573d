"""Options that several verbs share, and their conversion to options of the library.

A verb takes its options one by one, or in groups: dataclasses whose fields are options. The
decorator `grouped` shows typer the fields of each group.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_type_hints

import typer

from glpn.cli.numbers import positive
from glpn.engines.registry import engine_names
from glpn.errors import UsageError
from glpn.files import FORMATS

if TYPE_CHECKING:
    from glpn.engines.options import EngineOptions

# Headings in the help, each over a group of options.
OUTPUT = "Printed output"
MEASURE = "Measurements"
DETAIL = "Uncertainty and detail"
CAMERA = "Camera"
FILES = "Files"
MODEL = "Model"

MAX_THREADS = 256
_NO_FORMAT = "none"
_SIGMA = "sigma"


if TYPE_CHECKING:

    class EngineName(str, Enum):
        """The values of --engine: "auto" and the engines of the registry."""

        auto = "auto"

else:
    EngineName = Enum("EngineName", {name: name for name in engine_names()}, type=str)


class PrecisionName(str, Enum):
    """The values of --precision, the same as `glpn.engines.precision.PRECISIONS`."""

    auto = "auto"
    float32 = "float32"
    reduced = "reduced"


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A bundled name (see glpn models), a folder, or a hub id user/name. Default: the "
        "bundled indoor model.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
MaxDepth = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help=(
            "Maximum depth of the model, if its own value is wrong; 80 for the published "
            "KITTI weights."
        ),
        rich_help_panel=MODEL,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace existing files.", rich_help_panel=FILES),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object per line and nothing else.",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Print only errors (and the output of --json).",
        rich_help_panel=OUTPUT,
    ),
]
Engine = Annotated[
    EngineName, typer.Option(help="Software that runs the network.", rich_help_panel=MODEL)
]
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
        max=MAX_THREADS,
        help="CPU threads. Default: one per core.",
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
        help=(
            "A depth measured at this pixel, along the optical axis. One sets the scale; "
            "several can also shift the depth."
        ),
        rich_help_panel=CAMERA,
    ),
]
Known = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X0,Y0,X1,Y1,METRES",
        help=(
            "A known length. One sets the scale. Two also set the focal length, if one runs "
            "across the photo and the other away from the camera."
        ),
        rich_help_panel=CAMERA,
    ),
]
Sparse = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=(
            "Sparse or low-resolution depth of the photo, from LiDAR, SLAM or the sensor of a "
            "phone: rows of x,y,metres (.csv, .txt), or a depth map of any size. glpn fits "
            "scale, shift and a smooth local correction to it, and tolerates outliers."
        ),
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
        help=(
            "Focal length. Default: from EXIF; otherwise it is assumed, and the assumption is "
            "printed."
        ),
        rich_help_panel=CAMERA,
    ),
]
Fov = Annotated[
    float | None,
    typer.Option(
        metavar="DEGREES",
        help="Horizontal field of view instead of --focal.",
        rich_help_panel=CAMERA,
    ),
]
Scale = Annotated[
    float,
    typer.Option(
        help=(
            "Units per metre in png16: 1000 for millimetres, up to 65 m; 256 for the scale of "
            "KITTI, up to 255 m."
        ),
        rich_help_panel=FILES,
    ),
]
Formats = Annotated[
    str,
    typer.Option(
        help="Files to write, separated by commas: "
        + ", ".join(f"{row.name} ({row.help})" for row in FORMATS.values() if row.is_installed)
        + "; or none.",
        rich_help_panel=FILES,
    ),
]
Colormap = Annotated[
    str,
    typer.Option(
        help="Colormap of vis: inferno, magma, plasma, viridis, turbo, spectral_r or gray.",
        rich_help_panel=FILES,
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Include subfolders.")]


@dataclass(frozen=True)
class Printed:
    """How much the verb prints."""

    as_json: AsJson = False
    quiet: Quiet = False


@dataclass(frozen=True)
class CameraGroup:
    """The photo's camera."""

    focal: Focal = None
    fov: Fov = None
    intrinsics: Intrinsics = None


@dataclass(frozen=True)
class MeasuredGroup:
    """Depths and lengths that were measured."""

    ref: Ref = None
    known: Known = None
    sparse: Sparse = None
    sparse_scale: SparseScale = None


DEFAULT_SCALE = 1000.0
DEFAULT_COLORMAP = "inferno"  # as in `glpn.depth.colormaps`, which loads NumPy


@dataclass(frozen=True)
class FormatGroup:
    """The files to write for each photo."""

    format: Formats = "png16"
    colormap: Colormap = DEFAULT_COLORMAP
    scale: Scale = DEFAULT_SCALE

    def writers(self, *, uncertain: bool = False) -> dict[str, dict[str, object]]:
        """Return the options of each format's writer.

        Each format appears once. With an uncertainty, a 16-bit PNG also gets a PNG of sigma.

        Raises:
            UsageError: a format or the colour map is unknown, the scale is not above 0, no format
                uses a given option, or sigma is requested without an uncertainty.
        """
        from glpn.depth.colormaps import color_table

        color_table(self.colormap)
        given = self.format
        wanted = [] if given == _NO_FORMAT else [name.strip() for name in given.split(",")]
        for name in wanted:
            if name not in FORMATS:
                known = ", ".join(FORMATS)
                raise UsageError(
                    f"--format: expected {_NO_FORMAT} or some of {known}; got {name!r}"
                )
        if _SIGMA in wanted and not uncertain:
            raise UsageError("--format sigma: needs --uncertainty flip or droppath")
        if uncertain and "png16" in wanted:
            wanted.append(_SIGMA)
        values = {"scale": positive("--scale", self.scale), "colormap": self.colormap}
        for key, default in (("scale", DEFAULT_SCALE), ("colormap", DEFAULT_COLORMAP)):
            if values[key] != default and not any(key in FORMATS[name].options for name in wanted):
                raise UsageError(f"--{key}: no file of --format {given} uses it")
        return {
            name: {key: value for key, value in values.items() if key in FORMATS[name].options}
            for name in wanted
        }


@dataclass(frozen=True)
class Float32ModelGroup:
    """How to open a model in float32."""

    model: Model = ""
    max_depth: MaxDepth = None
    engine: Engine = EngineName.auto
    device: Device = "auto"
    threads: Threads = None

    def engine_options(self) -> EngineOptions:
        """Return the options that open the model.

        Raises:
            UsageError: --max-depth is not above 0.
        """
        from glpn.engines.options import DEFAULT_MODEL, EngineOptions

        return EngineOptions(
            model=self.model or DEFAULT_MODEL,
            engine=self.engine.value,
            device=self.device,
            threads=self.threads,
            max_depth=positive("--max-depth", self.max_depth),
        )


@dataclass(frozen=True)
class ModelGroup(Float32ModelGroup):
    """How to open a model, in any precision."""

    precision: Precision = PrecisionName.auto

    def engine_options(self) -> EngineOptions:
        """Return the options that open the model; raises the errors of the base class."""
        return dataclasses.replace(super().engine_options(), precision=self.precision.value)


def grouped(verb: Callable[..., None]) -> Callable[..., None]:
    """Let typer see the fields of every parameter whose type is a dataclass of options."""
    hints = get_type_hints(verb, include_extras=True)
    groups: dict[str, type] = {
        name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)
    }
    shown: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        shown += _fields(groups[name]) if name in groups else [_keyword(parameter, hints[name])]

    def run(**given: object) -> None:
        records = {}
        for name, group in groups.items():
            values = {field.name: given.pop(field.name) for field in fields(group)}
            records[name] = group(**values)
        verb(**records, **given)

    run.__doc__, run.__name__ = verb.__doc__, verb.__name__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return run


def _fields(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        _keyword(parameter, hints[name])
        for name, parameter in inspect.signature(group).parameters.items()
    ]


def _keyword(parameter: inspect.Parameter, hint: object) -> inspect.Parameter:
    """Required and optional options may follow one another, as keywords may."""
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)
