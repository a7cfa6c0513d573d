"""PhotoReport: the printed result of one photo, as a line of text or a JSON record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import SupportsFloat

from glpn.depth.depth import Depth
from glpn.depth.median import median

_DECIMALS = 4  # digits of metres in records: a tenth of a millimetre


@dataclass(frozen=True)
class Places:
    """Where to measure: points (x, y) in pixels, and pairs of points (x0, y0, x1, y1)."""

    at: Sequence[tuple[float, ...]] = ()
    between: Sequence[tuple[float, ...]] = ()

    def __bool__(self) -> bool:
        return bool(self.at or self.between)

    def measure(self, depth: Depth) -> MeasuredPlaces:
        """Metres at every place.

        Raises:
            UsageError: a place is outside the image.
        """
        return MeasuredPlaces(
            at=[(x, y, depth.at(x, y)) for x, y in self.at],
            between=[
                (x0, y0, x1, y1, depth.between((x0, y0), (x1, y1)))
                for x0, y0, x1, y1 in self.between
            ],
        )


@dataclass(frozen=True)
class MeasuredPlaces:
    """Each of the `Places`, followed by its metres."""

    at: Sequence[tuple[float, float, float]]
    between: Sequence[tuple[float, float, float, float, float]]


@dataclass(frozen=True)
class PhotoReport:
    """One predicted photo; `written` and `kept` map formats to files."""

    name: str
    depth: Depth
    places: MeasuredPlaces
    written: Mapping[str, Path]
    kept: Mapping[str, Path]

    def line(self) -> str:
        """Size, metres, camera, places and files in one line."""
        camera = self.depth.camera
        parts = [str(self.depth)]
        if self.depth.relative_error is not None:
            condition = " if the camera is as assumed" if camera.is_assumed else ""
            parts.append(
                f"± {100 * self.depth.relative_error:.0f} % for two thirds of the pixels"
                f"{condition} (measured on {self.depth.provenance.error_data})"
            )
        if self.depth.given_sigma is not None:
            parts.append(f"median sigma {median(self.depth.given_sigma):.3g} m")
        parts.append(f"focal {camera.fx:.0f} px ({camera.source})")
        parts += [f"{metres:.2f} m at ({x:g}, {y:g})" for x, y, metres in self.places.at]
        parts += [
            f"{metres:.2f} m from ({x0:g}, {y0:g}) to ({x1:g}, {y1:g})"
            for x0, y0, x1, y1, metres in self.places.between
        ]
        for verb, paths in (("wrote", self.written), ("kept", self.kept)):
            if paths:
                parts.append(f"{verb} {', '.join(map(str, paths.values()))}")
        return f"{self.name}: {'; '.join(parts)}"

    def record(self) -> dict[str, object]:
        """The same in JSON types; all lengths are in metres."""
        depth = self.depth
        height, width = depth.size
        given = depth.given_sigma
        sigma = {} if given is None else {"median_sigma": _metres(median(given))}
        return {
            "image": self.name,
            "status": "predicted",
            "height": height,
            "width": width,
            "min": _metres(depth.metres.min()),
            "max": _metres(depth.metres.max()),
            "median": _metres(median(depth.metres)),
            "relative_error": depth.relative_error,
            **sigma,
            "camera": depth.camera.record(),
            "at": [{"x": x, "y": y, "metres": _metres(z)} for x, y, z in self.places.at],
            "between": [
                {"start": [x0, y0], "end": [x1, y1], "metres": _metres(length)}
                for x0, y0, x1, y1, length in self.places.between
            ],
            "files": {f: str(path) for f, path in {**self.written, **self.kept}.items()},
            "kept": list(self.kept),
            "provenance": vars(depth.provenance),
        }


def _metres(value: SupportsFloat) -> float:
    return round(float(value), _DECIMALS)
