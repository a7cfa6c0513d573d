"""Depth: metres + camera + provenance. Probe it, measure in it, colour it, save it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from glpn import files
from glpn.camera import calibration
from glpn.camera.camera import Camera
from glpn.depth import colormaps
from glpn.depth.provenance import Provenance
from glpn.errors import DataError, UsageError
from glpn.files.contents import Contents


@dataclass(frozen=True, eq=False, repr=False)
class Depth:
    """Metres for every pixel of one picture, and what is needed to measure in it.

    Depth is measured along the optical axis. Points have X right, Y down, Z forward. Positions
    are (x, y): column first, pixel centres at whole numbers.

    Attributes:
        metres: float32 [H, W], read-only; 0 is unknown.
        camera: of this picture, at this size.
        provenance: what made it.
        image: the photograph, uint8 [H, W, 3], where it is at hand: it colours points.
        sigma: one standard deviation of the metres, float32 [H, W], in metres, read-only, where
            it was asked for; larger means less sure.

    Raises:
        DataError: metres or sigma are not a map of finite numbers from 0 on, or differ in size.
        UsageError: the image has another size or type.
    """

    metres: NDArray[np.float32]
    camera: Camera
    provenance: Provenance
    image: NDArray[np.uint8] | None = None
    sigma: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        metres = _metres_map("depth", self.metres)
        object.__setattr__(self, "metres", metres)
        if self.sigma is not None:
            sigma = _metres_map("sigma", self.sigma)
            if sigma.shape != metres.shape:
                raise DataError(
                    f"sigma: expected shape {list(metres.shape)}, got {list(sigma.shape)}"
                )
            object.__setattr__(self, "sigma", sigma)
        if self.image is not None:
            image = np.asarray(self.image)
            if image.dtype != np.uint8 or image.shape != (*metres.shape, 3):
                raise UsageError(
                    f"image: expected uint8 {[*metres.shape, 3]}, "
                    f"got {image.dtype} {list(image.shape)}"
                )
            object.__setattr__(self, "image", _read_only(image))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.metres.shape[0], self.metres.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """The same, under NumPy's name."""
        return self.size

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is None:
            return np.asarray(self.metres, dtype)
        return np.array(self.metres, dtype, copy=copy)

    def __str__(self) -> str:
        height, width = self.size
        known = self.metres[self.metres > 0]
        if not known.size:
            return f"{height}x{width}, depth unknown"
        low, high, median = (_short(f(known)) for f in (np.min, np.max, np.median))
        return f"{height}x{width}, {low}-{high} m, median {median} m"

    def __repr__(self) -> str:
        return f"<Depth {self}, {self.provenance.model}>"

    def at(self, x: float, y: float) -> float:
        """Metres at one position: a pixel's own value, or in between the bilinear mean.

        Raises:
            UsageError: the position is outside the picture.
            DataError: the depth there is unknown.
        """
        height, width = self.size
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            raise UsageError(
                f"({x}, {y}) is outside: x goes from 0 to {width - 1}, y from 0 to {height - 1}"
            )
        left, top = int(x), int(y)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        across, down = x - left, y - top
        corners = self.metres[[top, top, bottom, bottom], [left, right, left, right]]
        weights = np.outer([1 - down, down], [1 - across, across]).reshape(-1)
        if (corners[weights > 0] == 0).any():
            raise DataError(f"the depth at ({x}, {y}) is unknown")
        return float(weights @ corners)

    def point(self, x: float, y: float) -> tuple[float, float, float]:
        """(X, Y, Z) in metres of what is seen at one position; errors as `at`."""
        right, down, forward = self.camera.unproject(x, y, np.asarray(self.at(x, y)))
        if forward == 0:
            raise DataError(f"the lens model has no ray for ({x}, {y})")
        return float(right), float(down), float(forward)

    def between(self, start: tuple[float, float], end: tuple[float, float]) -> float:
        """Straight-line metres between what is seen at two positions; errors as `at`."""
        return math.dist(self.point(*start), self.point(*end))

    def points(self) -> NDArray[np.float32]:
        """(X, Y, Z) in metres for every pixel, float32 [H, W, 3]; (0, 0, 0) where unknown."""
        return self._contents().points()

    def calibrated(self, references: Sequence[tuple[float, ...]]) -> Depth:
        """The same depth, scaled and shifted to what was measured in a few places.

        One reference gives the scale, more give a shift too, as far as they bear it: see
        `calibration.fit_references`. The provenance says what was done.

        Args:
            references: (x, y, metres); the metres are along the optical axis, as `at` says them.

        Raises:
            UsageError: there is none, one is outside the picture, or its metres are no length.
            DataError: the depth in one of the places is unknown.
        """
        calibration.require_lengths("references", references, numbers=3)
        estimated = [self.at(x, y) for x, y, _ in references]
        nearest = float(self.metres[self.metres > 0].min())
        fit = calibration.fit_references(estimated, [m for *_, m in references], nearest=nearest)
        scale, shift = fit
        change = f"multiplied by {scale:.4g}" + (f", then {shift:+.4g} m" if shift else "")
        return self._changed(fit, self.camera, f"metres {change} for {_counted(references)}")

    def with_lengths(self, lengths: Sequence[tuple[float, ...]]) -> Depth:
        """The same depth with its scale, and its camera's focal length, solved from known lengths.

        One length gives the scale. Two or more give the focal length too, if one leads across the
        picture and one away from the camera: see `calibration.solve_lengths`. The provenance
        says what was done, the camera's source where its focal length is from.

        Args:
            lengths: (x0, y0, x1, y1, metres), in a straight line from one place to the other.

        Raises:
            UsageError: there is none, a place is outside the picture, two are the same, or the
                lengths do not tell the focal length, contradict each other, or must not change
                it because the lens distorts.
            DataError: the depth in one of the places is unknown.
        """
        calibration.require_lengths("known lengths", lengths, numbers=5)
        pairs = [(self.point(x0, y0), self.point(x1, y1)) for x0, y0, x1, y1, _ in lengths]
        spans = np.array([np.subtract(end, start) for start, end in pairs])
        metres = [length for *_, length in lengths]
        if not spans.any(axis=1).all():
            raise UsageError("known lengths: expected two different places each")
        if len(lengths) == 1:
            scale = metres[0] / float(np.linalg.norm(spans))
            note = f"metres multiplied by {scale:.4g} for 1 known length"
            return self._changed(calibration.Fit(scale), self.camera, note)
        camera, scale = self._solved(spans, metres)
        note = f"metres multiplied by {scale:.4g} and focal length {camera.source}"
        return self._changed(calibration.Fit(scale), camera, note)

    def taped(self, tape: calibration.Tape) -> Depth:
        """`calibrated` and `with_lengths` with what a tape says, as far as it says anything."""
        depth = self.calibrated(tape.references) if tape.references else self
        return depth.with_lengths(tape.lengths) if tape.lengths else depth

    def _solved(self, spans: NDArray[np.float64], lengths: Sequence[float]) -> tuple[Camera, float]:
        """The camera and the scale of `with_lengths`."""
        old = self.camera
        if old.distortion or old.fisheye:
            raise UsageError(
                "known lengths: this camera's lens is known, and so its focal length; give one "
                "length, which sets the scale"
            )
        scale, zoom = calibration.solve_lengths(spans, lengths)
        shortest, longest = (n * math.hypot(*self.size) for n in calibration.FOCAL_RANGE)
        if not shortest <= old.fx * zoom <= longest:
            raise UsageError(
                f"known lengths: they need a focal length of {old.fx * zoom:.0f} px, which no "
                f"usual lens has: expected {shortest:.0f} to {longest:.0f}"
            )
        source = f"solved from {len(lengths)} known lengths"
        return dataclasses.replace(old, fx=old.fx * zoom, fy=old.fy * zoom, source=source), scale

    def _changed(self, fit: calibration.Fit, camera: Camera, note: str) -> Depth:
        """With other metres, where they are known, and another camera; the provenance says so."""
        metres = self.metres.astype(np.float64) * fit.scale + fit.shift
        told = self.provenance
        reach = None if told.max_depth is None else told.max_depth * fit.scale + fit.shift
        notes = "; ".join(filter(None, (told.note, note)))
        return dataclasses.replace(
            self,
            metres=np.where(self.metres > 0, metres, 0).astype(np.float32),
            camera=camera,
            provenance=dataclasses.replace(told, max_depth=reach, note=notes),
            sigma=None if self.sigma is None else self.sigma * np.float32(fit.scale),
        )

    def colorize(
        self, colormap: str = "inferno", near: float | None = None, far: float | None = None
    ) -> NDArray[np.uint8]:
        """A colour picture, uint8 [H, W, 3]; unknown pixels are black.

        Args:
            colormap: one of `glpn.depth.colormaps.COLORMAPS`.
            near, far: metres that take the map's first and last colour; by default the 2nd and
                98th percentile of the known pixels.

        Raises:
            UsageError: the map is unknown, or not 0 <= near < far.
        """
        return colormaps.colorize(self.metres, colormap, near=near, far=far)

    def save(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        overwrite: bool = False,
        **options: Any,
    ) -> Path:
        """Write one self-describing file, whole or not at all; returns its path.

        Args:
            path: the suffix chooses the format: .png (16-bit millimetres), .npz, .exr, .tiff,
                .ply, .glb, .vis.png (colours), .sigma.png (16-bit millimetres of the
                uncertainty, which .npz holds too).
            format: "png16", "npz", "exr", "tiff", "ply", "glb", "vis" or "sigma", against the
                suffix.
            overwrite: replace what is there.
            **options: png16, sigma: scale; vis: colormap, near, far, beside; ply: step; glb: mesh,
                step, jump.

        Raises:
            UsageError: format or option unknown, the depth does not fit the format, or sigma is
                wanted and was not made.
            MissingDependency: exr, ply and glb need `pip install 'glpn[3d]'`.
            CannotCreateOutput, OutputFailed: the file cannot be begun, or not finished.
        """
        return files.write(path, self._contents(), format=format, overwrite=overwrite, **options)

    def encode(self, format: str, **options: Any) -> bytes:
        """The bytes of the file that `save` writes; formats, options and errors as there."""
        return files.encode(self._contents(), format, **options)

    def _contents(self) -> Contents:
        metadata = {"camera": self.camera.record(), **vars(self.provenance)}
        return Contents(self.metres, metadata, self.image, self.sigma)


def read_depth(path: str | Path, *, scale: float | None = None) -> Depth:
    """Read back a file that `Depth.save` wrote as png16, npz, exr or tiff.

    A file of others needs its `scale`, units per metre: 1000 for millimetres, 256 for KITTI, 1
    for floats in metres. Its camera is then assumed.

    Raises:
        MissingInput: there is no such file.
        UsageError: the file does not say its scale, nor do you; or they differ.
        DataError: it is damaged, too large, or no depth map.
        MissingDependency: EXR needs `pip install 'glpn[3d]'`.
    """
    contents = files.read(path, scale=scale)
    if contents.metadata.get("quantity", "depth") != "depth":
        raise DataError(f"{path}: holds {contents.metadata['quantity']!r:.100}, no depth")
    size = (contents.metres.shape[0], contents.metres.shape[1])
    try:
        says = contents.metadata
        camera = Camera.from_record(says["camera"]) if "camera" in says else Camera.assumed(size)
        provenance = Provenance.from_metadata(says, Path(path).name)
        return Depth(contents.metres, camera, provenance, sigma=contents.sigma)
    except (UsageError, DataError) as e:
        raise DataError(f"{path}: {e}") from e


def _metres_map(name: str, values: NDArray[Any]) -> NDArray[np.float32]:
    """A read-only map [H, W] of finite metres from 0 on."""
    metres = np.ascontiguousarray(values, np.float32)
    if metres.ndim != 2 or metres.size == 0:
        raise DataError(f"{name}: expected shape [height, width], got {list(metres.shape)}")
    low, high = float(metres.min()), float(metres.max())
    if not 0 <= low <= high < math.inf:
        raise DataError(f"{name}: expected finite metres from 0 on, got {low} to {high}")
    return _read_only(metres)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view: NDArray[Any] = array.view()
    view.flags.writeable = False
    return view


def _counted(references: Sequence[Any]) -> str:
    return f"{len(references)} reference{'s' * (len(references) > 1)}"


def _short(metres: np.floating[Any]) -> str:
    """Three digits: 0.71, 4.32, 12.3."""
    return f"{metres:.3g}" if metres < 1000 else f"{metres:.0f}"
