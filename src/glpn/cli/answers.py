"""What is said of one photograph, as a line for people and as a record for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glpn.depth.depth import Depth

_DECIMALS = 4  # of metres in records: a tenth of a millimetre


@dataclass(frozen=True)
class Questions:
    """Places to be measured, (x, y) in pixels: single ones, and pairs as (x0, y0, x1, y1)."""

    at: Sequence[tuple[float, ...]] = ()
    between: Sequence[tuple[float, ...]] = ()

    def __bool__(self) -> bool:
        return bool(self.at or self.between)

    def ask(self, depth: Depth) -> Measured:
        """Metres at every place.

        Raises:
            UsageError: a place is outside the picture.
        """
        return Measured(
            at=[(x, y, depth.at(x, y)) for x, y in self.at],
            between=[
                (x0, y0, x1, y1, depth.between((x0, y0), (x1, y1)))
                for x0, y0, x1, y1 in self.between
            ],
        )


@dataclass(frozen=True)
class Measured:
    """The places of `Questions`, each followed by its metres."""

    at: Sequence[tuple[float, float, float]]
    between: Sequence[tuple[float, float, float, float, float]]


@dataclass(frozen=True)
class Answer:
    """One predicted photograph; `written` and `kept` are format → file."""

    name: str
    depth: Depth
    measured: Measured
    written: Mapping[str, Path]
    kept: Mapping[str, Path]

    def line(self) -> str:
        """Size, metres, camera, places and files, in words."""
        camera = self.depth.camera
        parts = [str(self.depth)]
        if self.depth.sigma is not None:
            parts.append(f"median sigma {np.median(self.depth.sigma):.3g} m")
        parts.append(f"focal {camera.fx:.0f} px ({camera.source})")
        parts += [f"{metres:.2f} m at ({x:g}, {y:g})" for x, y, metres in self.measured.at]
        parts += [
            f"{metres:.2f} m from ({x0:g}, {y0:g}) to ({x1:g}, {y1:g})"
            for x0, y0, x1, y1, metres in self.measured.between
        ]
        for verb, paths in (("wrote", self.written), ("kept", self.kept)):
            if paths:
                parts.append(f"{verb} {', '.join(map(str, paths.values()))}")
        return f"{self.name}: {'; '.join(parts)}"

    def record(self) -> dict[str, Any]:
        """The same as JSON types; all lengths in metres."""
        metres = self.depth.metres
        height, width = self.depth.size
        sigma = self.depth.sigma
        range_ = {f.__name__: _metres(f(metres)) for f in (np.min, np.max, np.median)}
        return {
            "image": self.name,
            "status": "predicted",
            "height": height,
            "width": width,
            **range_,
            **({} if sigma is None else {"median_sigma": _metres(np.median(sigma))}),
            "camera": self.depth.camera.record(),
            "at": [{"x": x, "y": y, "metres": _metres(z)} for x, y, z in self.measured.at],
            "between": [
                {"start": [x0, y0], "end": [x1, y1], "metres": _metres(length)}
                for x0, y0, x1, y1, length in self.measured.between
            ],
            "files": {f: str(path) for f, path in {**self.written, **self.kept}.items()},
            "kept": list(self.kept),
            "provenance": vars(self.depth.provenance),
        }


def _metres(value: Any) -> float:
    return round(float(value), _DECIMALS)
