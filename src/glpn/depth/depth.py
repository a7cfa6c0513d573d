"""Depth: metres, camera and provenance, with methods to measure, calibrate, colour and save."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from glpn import files
from glpn.camera import calibration
from glpn.camera.camera import Camera
from glpn.depth import colormaps
from glpn.depth.errors import ErrorCurve
from glpn.depth.maps import SigmaField, metres_map, read_only
from glpn.depth.measurements import Measurements, Place
from glpn.depth.median import median
from glpn.depth.provenance import Provenance
from glpn.depth.sparse import SparseFit, fit_sparse
from glpn.errors import DataError, UsageError
from glpn.files.contents import Contents

_MAX_ASPECT_DIFFERENCE = 0.01  # of sparse depth and its photo; a larger one is no rounding


@dataclass(frozen=True, eq=False, repr=False)
class Depth:
    """Metres for every pixel of one photo, with the camera needed to measure in it.

    Depth is measured along the optical axis. Points have X right, Y down, Z forward. Positions
    are (x, y): column first, pixel centres at whole numbers.

    Attributes:
        metres: float32 [H, W], read-only; 0 is unknown.
        camera: the photo's camera, with intrinsics for this image size.
        provenance: the origin of this depth: photo, model, engine, changes.
        image: the photo, uint8 [H, W, 3], if known; points take their colours from it.
        sigma: one standard deviation of the metres, float32 [H, W], in metres, read-only: two
            thirds of the true depths differ by less. If not given, it is computed from `errors`;
            None if `errors` is None too.
        errors: the model's error on held-out frames as a function of predicted depth; None if it
            was not measured.

    Raises:
        DataError: metres or sigma are not a 2-D array of finite numbers of at least 0, or differ
            in size.
        UsageError: the image has another size or type.
    """

    metres: NDArray[np.float32]
    camera: Camera
    provenance: Provenance
    image: NDArray[np.uint8] | None = None
    sigma: NDArray[np.float32] | None = SigmaField()  # type: ignore[assignment]  # noqa: RUF009
    errors: ErrorCurve | None = None

    def __post_init__(self) -> None:
        metres = metres_map("depth", self.metres)
        object.__setattr__(self, "metres", metres)
        given = self.given_sigma
        if given is not None:
            sigma = metres_map("sigma", given)
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
            object.__setattr__(self, "image", read_only(image))

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore a copy or a pickle, whose arrays NumPy makes writable."""
        for name, value in state.items():
            vars(self)[name] = read_only(value) if isinstance(value, np.ndarray) else value

    @property
    def given_sigma(self) -> NDArray[np.float32] | None:
        """The `sigma` passed to the constructor; None if `sigma` is computed from `errors`."""
        sigma: NDArray[np.float32] | None = vars(self)["_given_sigma"]
        return sigma

    def sigma_at(self, x: float, y: float) -> float | None:
        """Return sigma in metres at the pixel nearest to (x, y); None if it is unknown.

        Raises:
            UsageError: the position is outside the image.
        """
        self._require_inside(x, y)
        row, column = round(y), round(x)
        if self.given_sigma is not None:
            return float(self.given_sigma[row, column])
        if self.errors is None:
            return None
        return float(self.errors.sigma(self.metres[row, column]))

    @property
    def relative_error(self) -> float | None:
        """|true - predicted| / predicted is below this for two thirds of the pixels.

        Estimated for the depths in this photo, from errors on the frames that
        `provenance.error_data` names; None if the errors were not measured.
        """
        return self.provenance.error

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.metres.shape[0], self.metres.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """The same as `size`, under NumPy's name."""
        return self.size

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if copy is None:
            return np.asarray(self.metres, dtype)
        return np.array(self.metres, dtype, copy=copy)

    def __str__(self) -> str:
        height, width = self.size
        known = self.metres[self.metres > 0]
        if not known.size:
            return f"{width}x{height}, depth unknown"
        low, high = _short(float(known.min())), _short(float(known.max()))
        return f"{width}x{height}, {low}-{high} m, median {_short(median(known))} m"

    def __repr__(self) -> str:
        return f"<Depth {self}, {self.provenance.model}>"

    def at(self, x: float, y: float) -> float:
        """Metres at one position; bilinear between pixel centres.

        Raises:
            UsageError: the position is outside the image.
            DataError: the depth there is unknown.
        """
        self._require_inside(x, y)
        height, width = self.size
        left, top = int(x), int(y)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        across, down = x - left, y - top
        corners = self.metres[[top, top, bottom, bottom], [left, right, left, right]]
        weights = np.outer([1 - down, down], [1 - across, across]).reshape(-1)
        if (corners[weights > 0] == 0).any():
            raise DataError(f"the depth at ({x}, {y}) is unknown")
        return float(weights @ corners)

    def _require_inside(self, x: float, y: float) -> None:
        height, width = self.size
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            raise UsageError(
                f"({x}, {y}) is outside: x goes from 0 to {width - 1}, y from 0 to {height - 1}"
            )

    def point(self, x: float, y: float) -> tuple[float, float, float]:
        """Return (X, Y, Z) in metres of the point seen at one position.

        Raises:
            UsageError: the position is outside the image.
            DataError: the depth there is unknown, or the lens model has no ray for the position.
        """
        right, down, forward = self.camera.unproject(x, y, np.asarray(self.at(x, y)))
        if forward == 0:
            raise DataError(f"the lens model has no ray for ({x}, {y})")
        return float(right), float(down), float(forward)

    def between(self, start: tuple[float, float], end: tuple[float, float]) -> float:
        """Return the straight-line metres between the points seen at two positions.

        Raises:
            UsageError, DataError: as in `point`, for either position.
        """
        return math.dist(self.point(*start), self.point(*end))

    def points(self) -> NDArray[np.float32]:
        """(X, Y, Z) in metres for every pixel, float32 [H, W, 3]; (0, 0, 0) where unknown."""
        return self._contents().points()

    def with_references(self, references: Sequence[Place]) -> Depth:
        """Return this depth, scaled and shifted to match depths measured at a few points.

        One reference determines the scale. Several also determine a shift, if they support one:
        see `calibration.fit_references`. The provenance records the change.

        Args:
            references: (x, y, metres); the metres are along the optical axis, as `at` returns them.

        Raises:
            UsageError: no reference is given, one is outside the image, or its metres are not a
                valid length.
            DataError: the depth at one of the points is unknown.
        """
        calibration.require_lengths("references", references, numbers=3)
        estimated = [self.at(x, y) for x, y, _ in references]
        nearest = float(self.metres[self.metres > 0].min())
        fit = calibration.fit_references(estimated, [m for *_, m in references], nearest=nearest)
        counted = f"{len(references)} reference{'s' * (len(references) > 1)}"
        return self._scaled(fit, self.camera, f"{_change(*fit)} for {counted}")

    def with_lengths(self, lengths: Sequence[Place]) -> Depth:
        """Return this depth with the scale, and the focal length, solved from known lengths.

        One length determines the scale. Two or more also determine the focal length, if one runs
        across the image and another away from the camera: see `calibration.solve_lengths`. The
        provenance records the change, and `camera.source` records the origin of the focal length.

        Args:
            lengths: (x0, y0, x1, y1, metres), in a straight line from one point to the other.

        Raises:
            UsageError: no length is given; a point is outside the image; both points of a length
                coincide; the lengths do not determine the focal length or contradict each other;
                or the camera has lens distortion, so that its focal length cannot be changed.
            DataError: the depth at one of the points is unknown.
        """
        calibration.require_lengths("known lengths", lengths, numbers=5)
        pairs = [(self.point(x0, y0), self.point(x1, y1)) for x0, y0, x1, y1, _ in lengths]
        spans = np.array([np.subtract(end, start) for start, end in pairs])
        metres = [length for *_, length in lengths]
        if not spans.any(axis=1).all():
            raise UsageError("known lengths: the two points of a length must be different")
        if len(lengths) == 1:
            scale = metres[0] / float(np.linalg.norm(spans))
            note = f"{_change(scale)} for 1 known length"
            return self._scaled(calibration.ScaleShift(scale), self.camera, note)
        camera, scale = calibration.solve_camera(self.camera, self.size, spans, metres)
        note = f"{_change(scale)} and focal length {camera.source}"
        return self._scaled(calibration.ScaleShift(scale), camera, note)

    def with_sparse(self, sparse: Sequence[Place] | NDArray[np.floating] | Depth) -> Depth:
        """Return this depth, fitted to sparse or low-resolution depth (LiDAR, SLAM, ToF sensors).

        Fits a robust scale and shift, then a smooth local factor where the points are dense enough
        to show that it helps: see `sparse.fit_sparse`. The provenance records the change and the
        leave-one-out error: the mean difference between each point and the value predicted from
        the other points.

        Args:
            sparse: points (x, y, metres), metres along the optical axis; or a depth map of the same
                photo at any resolution, such as `read_depth("lidar.png", scale=1000)`.

        Raises:
            UsageError: a point is outside the image or not finite, or its metres are not above 0.
            DataError: this depth is known at too few of the points, or a map has another ratio
                of sides than the photo.
        """
        points = sparse._sparse_points(self.size) if isinstance(sparse, Depth) else sparse
        fit = fit_sparse(self.metres, np.asarray(points, np.float64))
        note = f"{_change(fit.scale, fit.shift)}, {fit}"
        return self._changed(fit.metres, self.camera, note, gain=fit.gain(self.metres), fit=fit)

    def calibrate(self, measurements: Measurements) -> Depth:
        """Apply the sparse depth, the references and the lengths of `measurements`, if given."""
        depth = self
        if measurements.sparse is not None:
            depth = depth.with_sparse(measurements.sparse)
        if measurements.references:
            depth = depth.with_references(measurements.references)
        return depth.with_lengths(measurements.lengths) if measurements.lengths else depth

    def _sparse_points(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return the known pixels as points (x, y, metres) [N, 3] in an image of this size.

        Raises:
            DataError: the sides of this map have another ratio than those of the image.
        """
        height, width = self.size
        difference = abs(math.log(width * size[0] / (height * size[1])))
        # A side of a map made at a lower resolution is rounded by up to a pixel.
        if difference > math.log1p(max(_MAX_ASPECT_DIFFERENCE, 1 / min(self.size))):
            raise DataError(
                f"sparse depth: expected a map of the shape of the photo, {size[1]}x{size[0]}, "
                f"got {width}x{height}: is it rotated or cropped?"
            )
        y, x = np.nonzero(self.metres)
        down, across = size[0] / self.size[0], size[1] / self.size[1]
        place = [(x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5]
        return np.stack([*place, self.metres[y, x]], axis=1).astype(np.float64)

    def _scaled(self, fit: calibration.ScaleShift, camera: Camera, note: str) -> Depth:
        """Return a copy with another camera and its known metres scaled and shifted.

        `note` is added to the provenance.
        """
        metres = self.metres.astype(np.float64) * fit.scale + fit.shift
        metres = np.where(self.metres > 0, metres, 0)
        return self._changed(metres, camera, note, gain=fit.scale, fit=fit)

    def _changed(
        self,
        metres: NDArray[np.floating],
        camera: Camera,
        note: str,
        *,
        gain: float | NDArray[np.float64],
        fit: calibration.ScaleShift | SparseFit,
    ) -> Depth:
        """Return a copy with other metres and another camera.

        `gain` multiplies sigma, and `note` is added to the provenance. Errors that were measured
        without a calibration do not apply after it.
        """
        origin, sigma = self.provenance, self.given_sigma
        reach = None if origin.max_depth is None else origin.max_depth * fit.scale + fit.shift
        notes = "; ".join(filter(None, (origin.note, note)))
        return dataclasses.replace(
            self,
            metres=metres.astype(np.float32),
            camera=camera,
            provenance=dataclasses.replace(
                origin, max_depth=reach, note=notes, error=None, error_data=""
            ),
            sigma=None if sigma is None else (sigma * gain).astype(np.float32),
            errors=None,
        )

    def colorize(
        self,
        colormap: str = colormaps.DEFAULT_COLORMAP,
        near: float | None = None,
        far: float | None = None,
    ) -> NDArray[np.uint8]:
        """A colour picture, uint8 [H, W, 3]; unknown pixels are grey.

        Args:
            colormap: one of `glpn.depth.colormaps.COLORMAPS`.
            near, far: metres of the map's first and last colour; by default the 2nd and 98th
                percentile of the known pixels.

        Raises:
            UsageError: the map is unknown, or not 0 <= near < far.
        """
        return colormaps.colorize(self.metres, colormap, near=near, far=far)

    def save(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        overwrite: bool = True,
        **options: object,
    ) -> Path:
        """Write one self-describing file, whole or not at all; returns its path.

        Args:
            path: its suffix chooses the format: .png (16-bit millimetres), .npz, .exr, .tiff,
                .ply, .glb, .vis.png (colours), .sigma.png (16-bit millimetres of the
                uncertainty, which .npz also holds).
            format: "png16", "npz", "exr", "tiff", "ply", "glb", "vis" or "sigma", to override the
                suffix.
            overwrite: replace an existing file; if False, raise CannotCreateOutput.
            **options: png16, sigma: scale; vis: colormap, near, far, beside, legend; ply: mesh,
                step, jump; glb: mesh, step, jump.

        Raises:
            UsageError: format or option unknown, the depth does not fit the format, or there is
                no sigma to write.
            MissingDependency: exr, ply and glb need `pip install -c constraints.txt '.[3d]'`.
            CannotCreateOutput, OutputFailed: the file cannot be created, or not completed.
        """
        return files.write(path, self._contents(), format=format, overwrite=overwrite, **options)

    def encode(self, format: str, **options: object) -> bytes:
        """The bytes of the file that `save` writes; same formats, options and errors."""
        return files.encode(self._contents(), format, **options)

    def _repr_png_(self) -> bytes:
        """The colour picture that notebooks show."""
        return self.encode("vis")

    def _contents(self) -> Contents:
        metadata = {"camera": self.camera.record(), **vars(self.provenance)}
        return Contents(self.metres, metadata, self.image, self.given_sigma)


def _change(scale: float, shift: float = 0.0) -> str:
    return f"metres multiplied by {scale:.4g}" + (f", then {shift:+.4g} m" if shift else "")


def _short(metres: float) -> str:
    """Three digits: 0.71, 4.32, 12.3."""
    return f"{metres:.3g}" if metres < 1000 else f"{metres:.0f}"
