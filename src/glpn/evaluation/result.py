"""The result of an evaluation: rows per image, means with intervals, and all settings."""

from __future__ import annotations

import csv
import io
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import PIL
from numpy.typing import NDArray

import glpn
from glpn.data.frames import plural
from glpn.errors import ConfigError, DataError, GLPNError
from glpn.evaluation.geometry import (
    GEOMETRY_NAMES,
    GEOMETRY_UNITS,
    Geometry,
    GeometryErrors,
    GeometryRow,
)
from glpn.evaluation.metrics import HIGHER_IS_BETTER, METRIC_NAMES, Metrics
from glpn.evaluation.protocols import Protocol
from glpn.evaluation.statistics import MIN_GROUPS_FOR_INTERVAL, Interval
from glpn.records import parse_json

FORMAT = "glpn-evaluation-1"
UNITS: Mapping[str, str] = {"sq_rel": "m", "rmse": "m", **GEOMETRY_UNITS}
_UPWARDS = HIGHER_IS_BETTER | {"dde_correct"}
_FILE_ERRORS = (ValueError, TypeError, KeyError, AttributeError)


class Row(NamedTuple):
    """The scores of one image."""

    name: str
    scene: str | None
    pixels: int
    metrics: Metrics


@dataclass(frozen=True)
class Result:
    """The scores of one model on one dataset under one protocol.

    Attributes:
        model: identifies the weights by their hash.
        protocol: the rules; every output contains their hash.
        rows: one row per image, in the dataset's order.
        means: metric → mean over images (or the pooled value, by the protocol) and 95 % interval.
        seed: the seed of the intervals' bootstrap.
        versions: package → version.
        settings: all other settings that affect the numbers, as JSON values: the frames, the
            reading of their depth, the engine.
        geometry: iBims-1's geometric errors, if its scene files are available.
        warnings: caveats for a reader of the figures, such as a unit that seems wrong.

    Every output is a pure function of these attributes: the same run gives the same bytes.
    """

    model: str
    protocol: Protocol
    rows: tuple[Row, ...]
    means: Mapping[str, Interval]
    seed: int
    versions: Mapping[str, str]
    settings: Mapping[str, object] = field(default_factory=dict)
    geometry: Geometry | None = None
    warnings: tuple[str, ...] = ()

    @property
    def scenes(self) -> int | None:
        """The number of scenes, which the intervals resample; None if no scene is known."""
        return count_scenes([row.scene for row in self.rows])

    def to_csv(self) -> str:
        """Return one line per image: name, scene, valid pixels, metrics; in full precision.

        A result with geometry adds the number of scored planes and the geometric errors. Missing
        values are empty.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        extra = ("planes", *GEOMETRY_NAMES) if self.geometry else ()
        writer.writerow(["name", "scene", "pixels", *METRIC_NAMES, *extra])
        geometry_cells = (
            {row.name: _cells(row) for row in self.geometry.rows} if self.geometry else {}
        )
        for row in self.rows:
            cells = geometry_cells.get(row.name, [""] * len(extra))
            metrics = map(repr, row.metrics)
            writer.writerow([row.name, row.scene or "", row.pixels, *metrics, *cells])
        return buffer.getvalue()

    def to_json(self) -> str:
        """Return everything, rows included, for `from_json`; missing intervals are null."""
        values = {
            "format": FORMAT,
            "model": self.model,
            "settings": dict(self.settings),
            "protocol": {**self.protocol.settings(), "hash": self.protocol.hash()},
            "images": len(self.rows),
            "scenes": self.scenes,
            "seed": self.seed,
            "versions": dict(self.versions),
            "means": {name: interval_json(i) for name, i in self.means.items()},
            "rows": [
                {"name": r.name, "scene": r.scene, "pixels": r.pixels, **r.metrics._asdict()}
                for r in self.rows
            ],
        }
        if self.geometry is not None:
            values["geometry"] = _geometry_json(self.geometry)
        if self.warnings:
            values["warnings"] = list(self.warnings)
        return json.dumps(values, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, *, name: str = "result") -> Result:
        """Read a result from the text of `to_json`.

        Raises:
            DataError: the text is no result, or the protocol hash does not match the protocol.
        """
        try:
            values = parse_json(text)
            if values["format"] != FORMAT:
                raise DataError(f"expected format {FORMAT!r}, got {values['format']!r}")
            settings = dict(values["protocol"])
            stated = settings.pop("hash")
            protocol = Protocol(**settings)
            if protocol.hash() != stated:
                raise DataError(f"protocol hash {stated} does not fit the protocol in the file")
            return cls(
                model=str(values["model"]),
                protocol=protocol,
                rows=tuple(_row(row) for row in values["rows"]),
                means={key: _interval(values["means"][key]) for key in METRIC_NAMES},
                seed=int(values["seed"]),
                versions=dict(values["versions"]),
                settings=dict(values["settings"]),
                geometry=_geometry(values["geometry"]) if "geometry" in values else None,
                warnings=tuple(map(str, values.get("warnings", ()))),
            )
        except ConfigError as e:
            raise DataError(f"{name}: not a result of glpn evaluate: {e}") from None
        except GLPNError as e:
            raise DataError(f"{name}: {e}") from None
        except _FILE_ERRORS as e:
            raise DataError(f"{name}: not a result of glpn evaluate: {e!r}") from None

    def to_markdown(self) -> str:
        """Return a table for a paper or a model card, followed by every setting."""
        lines = ["| metric | value | 95 % interval |", "|---|---|---|"]
        means = {**self.means, **(self.geometry.means if self.geometry else {})}
        for name, interval in means.items():
            lines.append(f"| {heading(name)} | {interval.value:.4f} | {ends(interval)} |")
        lines += ["", *(f"Warning: {warning}  " for warning in self.warnings), *self.describe()]
        return "\n".join(lines) + "\n"

    def describe(self, label: str = "Model") -> list[str]:
        """Return the settings as lines of text for a table's footer; the model's has `label`."""
        settings = self.protocol.settings()
        options = (f"{k} {_in_words(v)}" for k, v in settings.items() if k != "name")
        versions = (f"{package} {version}" for package, version in self.versions.items())
        rows = self.geometry.rows if self.geometry else ()
        surveyed = (
            f"; geometry of {len(rows)}, {sum(r.planes for r in rows)} planes" if rows else ""
        )
        return [
            f"{label}: {self.model}  ",
            f"Images: {images_in_words(len(self.rows), self.scenes)}{surveyed}  ",
            f"Protocol: {self.protocol.name} ({', '.join(options)}; {self.protocol.hash()})  ",
            *settings_lines(self.settings),
            f"Versions: {', '.join(versions)}; bootstrap seed {self.seed}",
        ]


def count_scenes(scenes: Sequence[str | None]) -> int | None:
    """Return the number of scenes of images; an image without a scene counts as one.

    None means that no scene is known.
    """
    groups = {i if scene is None else scene for i, scene in enumerate(scenes)}
    return len(groups) if any(scene is not None for scene in scenes) else None


def images_in_words(images: int, scenes: int | None) -> str:
    """Describe the number of images and, if known, of scenes; say if there are no intervals."""
    words = plural(images, "image")
    if scenes is not None:
        words += f" in {plural(scenes, 'scene')}"
    elif images > 1:
        words += ", scenes unknown"
    if (scenes or images) < MIN_GROUPS_FOR_INTERVAL:
        words += f"; an interval needs {MIN_GROUPS_FOR_INTERVAL}"
    return words


def scores_of(result: Result) -> NDArray[np.float64]:
    """Return the rows' metrics, float64 [images, metrics]."""
    return np.array([row.metrics for row in result.rows])


def named_intervals(intervals: Sequence[Interval]) -> dict[str, Interval]:
    """Return each metric's interval, cut to the values that the metric can take."""
    named = {}
    for name, (value, low, high) in zip(METRIC_NAMES, intervals, strict=True):
        most = 1.0 if name in HIGHER_IS_BETTER else math.inf
        # A missing interval is NaN. These comparisons keep it NaN, while min and max might not.
        named[name] = Interval(value, 0.0 if low < 0 else low, most if high > most else high)
    return named


def package_versions() -> dict[str, str]:
    """Return the versions of the packages behind the numbers."""
    return {
        "glpn": glpn.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
    }


def interval_json(interval: Interval) -> dict[str, float | None]:
    """Return an interval as JSON values; non-finite numbers become null."""
    named = interval._asdict().items()
    return {key: value if math.isfinite(value) else None for key, value in named}


def settings_lines(settings: Mapping[str, object]) -> list[str]:
    """Return one line of text with the settings that have a value; no line without any."""
    words = [f"{key} {_in_words(value)}" for key, value in settings.items() if value is not None]
    return [f"Settings: {', '.join(words)}  "] if words else []


def _in_words(value: object) -> str:
    """Return a setting as text without quotes and braces; a record's values are in brackets."""
    if isinstance(value, Mapping):
        parts = (f"{k} {_in_words(v)}" for k, v in value.items() if v is not None)
        return f"({', '.join(parts)})"
    if isinstance(value, (list, tuple)):
        return " ".join(map(_in_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def heading(metric: str) -> str:
    """Return the metric's name with its unit and the better direction."""
    unit = f" [{UNITS[metric]}]" if metric in UNITS else ""
    return f"{metric}{unit} {'↑' if metric in _UPWARDS else '↓'}"


def ends(interval: Interval) -> str:
    """Return the interval's ends as text; a dash if there are too few images for one."""
    if math.isnan(interval.low):
        return "–"
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _row(values: Mapping[str, Any]) -> Row:
    metrics = Metrics(*(float(values[key]) for key in METRIC_NAMES))
    scene = values["scene"]
    return Row(
        str(values["name"]), None if scene is None else str(scene), int(values["pixels"]), metrics
    )


def _cells(row: GeometryRow) -> list[str]:
    return [str(row.planes), *("" if math.isnan(e) else repr(e) for e in row.errors)]


def _geometry_json(geometry: Geometry) -> dict[str, object]:
    rows = []
    for row in geometry.rows:
        named = row.errors._asdict().items()
        errors = {key: None if math.isnan(value) else value for key, value in named}
        rows.append({"name": row.name, "planes": row.planes, **errors})
    return {
        "means": {name: interval_json(i) for name, i in geometry.means.items()},
        "rows": rows,
    }


def _geometry(values: Mapping[str, Any]) -> Geometry:
    means = {
        key: _interval(values["means"][key]) for key in GEOMETRY_NAMES if key in values["means"]
    }
    rows = []
    for row in values["rows"]:
        errors = (math.nan if row[key] is None else float(row[key]) for key in GEOMETRY_NAMES)
        rows.append(GeometryRow(str(row["name"]), int(row["planes"]), GeometryErrors(*errors)))
    return Geometry(tuple(rows), means)


def _interval(values: Mapping[str, Any]) -> Interval:
    return Interval(
        *(math.nan if values[k] is None else float(values[k]) for k in Interval._fields)
    )
