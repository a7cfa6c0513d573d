"""Parses the query of `/v1/depth` into `DepthQuery`; impossible values raise UsageError."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from glpn.camera.calibration import require_open_focal
from glpn.camera.camera import FOV_RANGE
from glpn.depth.colormaps import color_table
from glpn.depth.measurements import Measurements
from glpn.errors import MissingDependency, UsageError
from glpn.files import FORMATS

# format → media type
MEDIA_TYPES = {
    "json": "application/json",
    **{row.name: row.media_type for row in FORMATS.values() if row.quantity != "sigma"},
}
_SINGLE = ("format", "focal", "fov", "colormap", "uncertainty", "step")
_REPEATED = ("at", "between", "ref", "known")
OPTIONS = (*_SINGLE, *_REPEATED)
_UNCERTAINTIES = ("flip",)
_WITH_SIGMA = ("json", "npz")  # the formats that hold an uncertainty
_MAX_FOCAL = 1e6  # pixels; `Camera` compares the focal length with the photo
_MAX_STEP = 10_000
MAX_PLACES = 100  # limit for each repeated name
_MAX_ECHO = 40  # characters of a wrong value that the message repeats
_MAX_NUMBER = 40  # characters
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class DepthQuery:
    """What the caller asks for.

    Attributes:
        format: a key of MEDIA_TYPES.
        focal: focal length in pixels of the photo.
        fov: horizontal field of view in degrees.
        at: points (x, y) in pixels.
        between: pairs of points (x0, y0, x1, y1).
        measurements: known depths and lengths, which calibrate the metres.
        colormap: colours of the format vis.
        uncertainty: "flip" adds sigma to JSON and NPZ.
        step: files keep every step-th pixel in both directions.
    """

    format: str = "json"
    focal: float | None = None
    fov: float | None = None
    at: Sequence[tuple[float, ...]] = ()
    between: Sequence[tuple[float, ...]] = ()
    measurements: Measurements = field(default_factory=Measurements)
    colormap: str = "inferno"
    uncertainty: str | None = None
    step: int = 1


def installed_formats() -> tuple[str, ...]:
    """The formats whose packages are installed."""
    return tuple(name for name in MEDIA_TYPES if name not in FORMATS or FORMATS[name].is_installed)


def parse_query(items: Sequence[tuple[str, str]]) -> DepthQuery:
    """Read the pairs of a query.

    Raises:
        UsageError: a name or a value is not allowed; the message lists what is.
        MissingDependency: the package of the format is not installed.
    """
    values = _collect(items)
    once = {name: texts[0] for name, texts in values.items()}
    query = DepthQuery(
        format=_format(once),
        focal=_number(once, "focal", 0, _MAX_FOCAL, "pixels"),
        fov=_number(once, "fov", *FOV_RANGE, "degrees"),
        at=_places(values, "at", "x,y in pixels"),
        between=_places(values, "between", "x0,y0,x1,y1 in pixels"),
        measurements=Measurements(
            references=_places(values, "ref", "x,y,metres"),
            lengths=_places(values, "known", "x0,y0,x1,y1,metres"),
        ),
        colormap=once.get("colormap", "inferno")[:_MAX_ECHO],
        uncertainty=_choice(once, "uncertainty", _UNCERTAINTIES),
        step=_step(once.get("step", "1")),
    )
    color_table(query.colormap)
    if query.focal is not None and query.fov is not None:
        raise UsageError("query: give at most one of focal and fov")
    if query.focal is not None or query.fov is not None:
        require_open_focal("known", query.measurements.lengths, options="focal and fov")
    if (query.at or query.between) and query.format != "json":
        raise UsageError("at, between: only format=json answers them")
    if query.uncertainty is not None and query.format not in _WITH_SIGMA:
        raise UsageError(
            f"uncertainty: only format={' and format='.join(_WITH_SIGMA)} hold it, "
            f"not {query.format}"
        )
    if "colormap" in once and query.format != "vis":
        raise UsageError(f"colormap: only format=vis has colours, not {query.format}")
    if "step" in once and query.format == "json":
        raise UsageError("step: only files have pixels to leave out, not format=json")
    return query


def _collect(items: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of each name, none unknown and none given too often."""
    values: dict[str, list[str]] = {}
    for name, value in items:
        if name not in OPTIONS:
            known = ", ".join(OPTIONS)
            raise UsageError(f"query: expected some of {known}; got {_shown(name)}")
        values.setdefault(name, []).append(value)
        if len(values[name]) > (MAX_PLACES if name in _REPEATED else 1):
            raise UsageError(f"query: {name} is given too often")
    return values


def _format(once: Mapping[str, str]) -> str:
    name = once.get("format")
    if name in MEDIA_TYPES and name not in installed_formats():
        package = FORMATS[name].package
        raise MissingDependency(f"format: {name} needs {package} on the server", extra="3d")
    return _choice(once, "format", installed_formats()) or "json"


def _choice(once: Mapping[str, str], name: str, choices: Sequence[str]) -> str | None:
    text = once.get(name)
    if text is not None and text not in choices:
        raise UsageError(f"{name}: expected one of {', '.join(choices)}; got {_shown(text)}")
    return text


def _number(once: Mapping[str, str], name: str, low: float, high: float, unit: str) -> float | None:
    """A number from `low` to `high`, above 0."""
    if name not in once:
        return None
    numbers = _floats(once[name])
    if len(numbers) != 1 or not (low <= numbers[0] <= high and numbers[0] > 0):
        bounds = f"from {low:g} to {high:g}" if low else f"above 0, up to {high:g}"
        raise UsageError(f"{name}: expected a number of {unit} {bounds}, got {_shown(once[name])}")
    return numbers[0]


def _step(text: str) -> int:
    numbers = _floats(text)
    if len(numbers) != 1 or numbers[0] not in range(1, _MAX_STEP + 1):
        raise UsageError(f"step: expected a whole number from 1 to {_MAX_STEP}, got {_shown(text)}")
    return int(numbers[0])


def _places(values: Mapping[str, list[str]], name: str, form: str) -> list[tuple[float, ...]]:
    """The numbers of every value of one name; `form` says how many they are."""
    count = form.count(",") + 1
    places = []
    for text in values.get(name, ()):
        places.append(_floats(text))
        if len(places[-1]) != count:
            raise UsageError(f"{name}: expected {form}, got {_shown(text)}")
    return places


def _floats(text: str) -> tuple[float, ...]:
    """The finite numbers of a comma-separated list; empty where anything else is in it."""
    parts = text.split(",", 5)
    if not all(len(part) <= _MAX_NUMBER and _NUMBER.fullmatch(part) for part in parts):
        return ()
    numbers = tuple(map(float, parts))
    return numbers if all(map(math.isfinite, numbers)) else ()


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_ECHO else text[:_MAX_ECHO] + "…")
