"""The query of `/v1/depth` → `Wanted`; anything unknown or impossible is a UsageError."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glpn.depth.colormaps import color_table
from glpn.errors import UsageError

# format → media type
FORMATS = {
    "json": "application/json",
    "png16": "image/png",
    "npz": "application/x-npz",
    "exr": "image/x-exr",
    "vis": "image/png",
    "glb": "model/gltf-binary",
}
_ONCE = ("format", "focal", "fov", "colormap", "step")
_REPEATED = ("at", "between")
_LARGEST_STEP = 10_000
MAX_PLACES = 100  # of at and between each
_LONGEST_ECHO = 40  # characters of a wrong value that the answer repeats


@dataclass(frozen=True)
class Wanted:
    """What the caller asks for.

    Attributes:
        format: a key of FORMATS.
        focal: focal length in pixels of the photograph.
        fov: horizontal field of view in degrees.
        at: places (x, y) in pixels.
        between: pairs of places (x0, y0, x1, y1).
        colormap: of the colour picture.
        step: every step-th pixel is kept in both directions, in files.
    """

    format: str = "json"
    focal: float | None = None
    fov: float | None = None
    at: Sequence[tuple[float, ...]] = ()
    between: Sequence[tuple[float, ...]] = ()
    colormap: str = "inferno"
    step: int = 1


def parse_query(items: Sequence[tuple[str, str]]) -> Wanted:
    """Read the query's pairs.

    Raises:
        UsageError: a name or a value is none of the allowed, which the message lists.
    """
    values: dict[str, list[str]] = {}
    for name, value in items:
        if name not in (*_ONCE, *_REPEATED):
            known = ", ".join((*_ONCE, *_REPEATED))
            raise UsageError(f"query: expected some of {known}; got {_shown(name)}")
        values.setdefault(name, []).append(value)
        if len(values[name]) > (MAX_PLACES if name in _REPEATED else 1):
            raise UsageError(f"query: {name} is given too often")
    if "focal" in values and "fov" in values:
        raise UsageError("query: give at most one of focal and fov")
    fields: dict[str, Any] = {name: texts[0] for name, texts in values.items() if name in _ONCE}
    if fields.get("format", "json") not in FORMATS:
        got = _shown(fields["format"])
        raise UsageError(f"format: expected one of {', '.join(FORMATS)}; got {got}")
    for name, limit in (("focal", 1e6), ("fov", 180.0)):
        if name in fields:
            fields[name] = _below(name, fields[name], limit)
    for name, count in (("at", 2), ("between", 4)):
        fields[name] = [_numbers(name, text, count) for text in values.get(name, ())]
    if (fields["at"] or fields["between"]) and fields.get("format", "json") != "json":
        raise UsageError("at, between: expected format=json, which alone answers them")
    if "step" in fields:
        fields["step"] = _step(fields["step"])
    if "colormap" in fields:
        color_table(fields["colormap"][:_LONGEST_ECHO])
    return Wanted(**fields)


def _below(name: str, text: str, limit: float) -> float:
    numbers = _floats(text)
    if len(numbers) != 1 or not 0 < numbers[0] < limit:
        raise UsageError(
            f"{name}: expected a number above 0 and below {limit:g}, got {_shown(text)}"
        )
    return numbers[0]


def _step(text: str) -> int:
    numbers = _floats(text)
    if len(numbers) != 1 or numbers[0] not in range(1, _LARGEST_STEP + 1):
        raise UsageError(
            f"step: expected a whole number from 1 to {_LARGEST_STEP}, got {_shown(text)}"
        )
    return int(numbers[0])


def _numbers(name: str, text: str, count: int) -> tuple[float, ...]:
    numbers = _floats(text)
    if len(numbers) != count:
        form = "x,y" if count == 2 else "x0,y0,x1,y1"
        raise UsageError(f"{name}: expected {form} in pixels, got {_shown(text)}")
    return numbers


def _floats(text: str) -> tuple[float, ...]:
    """Finite numbers with commas between; none where the text is something else."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…")
