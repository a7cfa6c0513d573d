"""The geometric errors of iBims-1's scenes, per image and as means with intervals.

Planarity is averaged over the planes of all images together, as in the published evaluation. The
other errors are averaged over images. Intervals resample images, or scenes where they are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.data.ibims import Scene, read_scene
from glpn.data.sample import Sample
from glpn.errors import DataError
from glpn.evaluation.ibims import (
    BoundaryError,
    DirectedError,
    Planarity,
    boundary_error,
    directed_error,
    planarity,
)
from glpn.evaluation.statistics import Interval, mean_intervals

GEOMETRY_UNITS: Mapping[str, str] = {
    "pe_plan": "cm",
    "pe_orie": "°",
    "dbe_acc": "px",
    "dbe_comp": "px",
}


class GeometryErrors(NamedTuple):
    """The errors of one image; NaN if it has no plane or no edge."""

    pe_plan: float
    pe_orie: float
    dbe_acc: float
    dbe_comp: float
    dde_correct: float
    dde_too_near: float
    dde_too_far: float


GEOMETRY_NAMES: tuple[str, ...] = GeometryErrors._fields
_PLANE_NAMES, _EDGE_NAMES, _SIDE_NAMES = (
    GEOMETRY_NAMES[:2],
    GEOMETRY_NAMES[2:4],
    GEOMETRY_NAMES[4:],
)


class GeometryRow(NamedTuple):
    """One image: its name, the number of scored planes, and the means over them."""

    name: str
    planes: int
    errors: GeometryErrors


@dataclass(frozen=True)
class Geometry:
    """The geometric errors of a set.

    Attributes:
        rows: one for each image that has a scene file.
        means: error → mean and 95 % interval; without the errors that no image has.
    """

    rows: tuple[GeometryRow, ...]
    means: Mapping[str, Interval]


@dataclass(frozen=True)
class SurveyedFrame(Sample):
    """A sample with its geometry from iBims-1's scene file."""

    geometry: Scene = field(kw_only=True)


@dataclass(frozen=True)
class SceneErrors:
    """All geometric errors of one prediction; `scene` is that of its frame."""

    name: str
    scene: str | None
    planes: tuple[Planarity, ...]
    edges: BoundaryError
    sides: DirectedError

    def row(self) -> GeometryRow:
        """Average over the planes and return one row."""
        planes = np.mean(self.planes, axis=0) if self.planes else np.full(2, np.nan)
        errors = map(float, (*planes, *self.edges, *self.sides))
        return GeometryRow(self.name, len(self.planes), GeometryErrors._make(errors))


def surveyed(sample: Sample, path: Path | None) -> Sample:
    """Add the contents of the scene file, if there is one; raises the errors of `read_scene`."""
    if path is None:
        return sample
    return SurveyedFrame(**vars(sample), geometry=read_scene(path))


def scene_errors(
    prediction: NDArray[np.floating], geometry: Scene, *, name: str, scene: str | None = None
) -> SceneErrors:
    """Return all geometric errors of a finite prediction in metres [H, W].

    The target is the scene's own depth, at any distance. Planes count where it is known.

    Raises:
        DataError: the scene has another size or no valid pixel; the message names it.
    """
    target, camera = geometry.depth, geometry.camera
    valid = target > 0
    try:
        planes = [
            planarity(prediction, target, p.mask & valid, normal=p.normal, camera=camera)
            for p in geometry.planes
        ]
        return SceneErrors(
            name,
            scene,
            planes=tuple(plane for plane in planes if plane is not None),
            edges=boundary_error(prediction, geometry.edges),
            sides=directed_error(prediction, target, valid),
        )
    except DataError as e:
        raise DataError(f"{name}: {e}") from None


def summarise(scored: Sequence[SceneErrors], *, seed: int) -> Geometry:
    """Return the rows and means of all images; `seed` is for the intervals' bootstrap."""
    keys = [errors.name if errors.scene is None else errors.scene for errors in scored]
    planes = [(key, p) for key, e in zip(keys, scored, strict=True) for p in e.planes]
    edges = [(k, e.edges) for k, e in zip(keys, scored, strict=True) if not math.isnan(e.edges[0])]
    sides = [(key, e.sides) for key, e in zip(keys, scored, strict=True)]
    means = {
        **_means(_PLANE_NAMES, planes, seed),
        **_means(_EDGE_NAMES, edges, seed),
        **_means(_SIDE_NAMES, sides, seed),
    }
    return Geometry(tuple(errors.row() for errors in scored), means)


def _means(
    names: Sequence[str], values: Sequence[tuple[str, Sequence[float]]], seed: int
) -> dict[str, Interval]:
    """Return each column's mean by name, with its interval cut to the error's possible range."""
    if not values:
        return {}
    keys, rows = zip(*values, strict=True)
    most = 1.0 if names is _SIDE_NAMES else math.inf
    found = zip(names, mean_intervals(np.array(rows), keys, seed=seed), strict=True)
    # A missing interval is NaN. These comparisons keep it NaN, while min and max might not.
    return {
        name: Interval(value, 0.0 if low < 0 else low, most if high > most else high)
        for name, (value, low, high) in found
    }
