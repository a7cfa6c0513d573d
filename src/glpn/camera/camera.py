"""Camera: the ray that each pixel of an image looks along."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glpn.camera import lens
from glpn.errors import DataError, UsageError

# Degrees along the longer side for an unknown camera. A phone's main camera has 67 (26 mm
# equivalent), a Kinect 63, a 35 mm lens 54: the focal length of 60 is within 16 % of each.
ASSUMED_FOV = 60.0
# Focal lengths of real lenses, in diagonals of the image: 1 to 2200 mm in 35 mm terms. Metres scale
# with the focal length, so this range also keeps them between a millimetre and a kilometre.
FOCAL_RANGE = (0.02, 50.0)
FOV_RANGE = (1.0, 170.0)  # degrees
_PIXEL_RANGE = (1e-3, 1e7)  # focal lengths and principal points of any image at all
_BAND = 128  # undistorting takes many times the memory of its result, so go by bands of rows


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, with or without lens distortion, in pixels of one image.

    As in OpenCV, pixel centres have whole coordinates: the centre of the top left pixel is (0, 0)
    and the middle of an image is ((W - 1) / 2, (H - 1) / 2). A size is (height, width).

    Attributes:
        fx, fy: focal lengths.
        cx, cy: principal point.
        source: the origin of the numbers, in words.
        distortion: OpenCV's k1, k2, p1, p2[, k3[, k4, k5, k6]], or k1, k2, k3, k4 of a fisheye;
            empty without distortion. Trailing zeros may be omitted or added.
        fisheye: whether the lens follows OpenCV's fisheye model instead of the radial-tangential
            one.

    Raises:
        UsageError: a number is not finite or out of range, or the coefficients fit no known model.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    source: str
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    def __post_init__(self) -> None:
        low, high = _PIXEL_RANGE
        for name in ("fx", "fy", "cx", "cy"):
            value = require_finite(f"camera {name}", getattr(self, name))
            if name in ("fx", "fy") and not low <= value <= high:
                raise UsageError(
                    f"camera {name}: expected a focal length of {low:g} to {high:g} px, got {value}"
                )
            if abs(value) > high:
                raise UsageError(f"camera {name}: expected at most {high:g} px, got {value}")
            object.__setattr__(self, name, value)
        checked = lens.coefficients(self.distortion, fisheye=self.fisheye)
        object.__setattr__(self, "distortion", checked)

    @classmethod
    def from_focal(cls, focal: float, size: tuple[int, int], *, source: str) -> Camera:
        """A camera with square pixels whose axis goes through the middle of the image.

        Args:
            focal: the focal length in pixels.
            size: (height, width).
            source: the value of the attribute `source`.

        Raises:
            UsageError: as `require_plausible`.
        """
        height, width = size
        _require_size(size)
        camera = cls(focal, focal, (width - 1) / 2, (height - 1) / 2, source)
        camera.require_plausible(size)
        return camera

    @classmethod
    def from_fov(cls, degrees: float, size: tuple[int, int], *, source: str) -> Camera:
        """The same from the horizontal field of view, edge to edge.

        Raises:
            UsageError: the angle is outside FOV_RANGE, or as `from_focal`.
        """
        _require_size(size)
        return cls.from_focal(focal_of_fov(degrees, size[1]), size, source=source)

    @classmethod
    def assumed(cls, size: tuple[int, int]) -> Camera:
        """A guess: ASSUMED_FOV along the longer side. Its `source` says that it is assumed."""
        source = f"assumed {ASSUMED_FOV:g}° field of view along the longer side"
        return cls.from_focal(focal_of_fov(ASSUMED_FOV, max(size)), size, source=source)

    @property
    def is_assumed(self) -> bool:
        """Whether nothing is known about the photo's camera; `source` says what was assumed."""
        return self.source.startswith("assumed")

    def scaled(self, size_from: tuple[int, int], size_to: tuple[int, int]) -> Camera:
        """The camera of the same image resized from one (height, width) to another."""
        if min(*size_from, *size_to) < 1:
            raise UsageError(f"camera: cannot scale from {size_from} to {size_to}")
        down, across = size_to[0] / size_from[0], size_to[1] / size_from[1]
        return dataclasses.replace(
            self,
            fx=self.fx * across,
            fy=self.fy * down,
            cx=(self.cx + 0.5) * across - 0.5,  # resizing keeps edges in place, not pixel centres
            cy=(self.cy + 0.5) * down - 0.5,
        )

    def focal_factor(self, ratio: float, size: tuple[int, int]) -> float:
        """This focal length as a multiple of `ratio` times the shorter side of (height, width).

        Metres of a network that was trained with such a `ratio`, times this factor, are right for
        this camera.
        """
        return math.sqrt(self.fx * self.fy) / (ratio * min(size))

    def require_plausible(self, size: tuple[int, int]) -> None:
        """Refuse focal lengths that no lens has for an image of this (height, width).

        Raises:
            UsageError: one is outside FOCAL_RANGE; the message gives the range in pixels.
        """
        low, high = (share * math.hypot(*size) for share in FOCAL_RANGE)
        if not (low <= self.fx <= high and low <= self.fy <= high):
            got = f"{self.fx:g}" if self.fx == self.fy else f"{self.fx:g} and {self.fy:g}"
            raise UsageError(
                f"focal length: expected {low:.3g} to {high:.0f} px for {size[1]}x{size[0]} "
                f"pixels, got {got} ({self.source})"
            )

    def require_centre_inside(self, size: tuple[int, int]) -> None:
        """Refuse a principal point outside an image of this (height, width).

        Raises:
            DataError: it is outside, so these are the pixels of a larger image.
        """
        height, width = size
        if not (0 <= self.cx <= width - 1 and 0 <= self.cy <= height - 1):
            raise DataError(
                f"{self.source}: the principal point ({self.cx:g}, {self.cy:g}) is outside "
                f"the photo of {width}x{height} pixels: it was calibrated at another size"
            )

    def record(self) -> dict[str, object]:
        """The attributes as JSON types; lens attributes only if the lens distorts."""
        values = dataclasses.asdict(self)
        del values["distortion"], values["fisheye"]
        if self.fisheye or self.distortion:
            values |= {"distortion": list(self.distortion), "fisheye": self.fisheye}
        return values

    @classmethod
    def from_record(cls, values: object) -> Camera:
        """Build the camera from its `record`.

        Raises:
            DataError: this is not a camera record.
            UsageError: a value is impossible.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        needed = names - {"distortion", "fisheye"}
        if not isinstance(values, dict) or not needed <= values.keys() <= names:
            raise DataError(f"metadata camera: expected {sorted(needed)}, got {values!r:.100}")
        return cls(**values)

    def rays(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """X / Z and Y / Z of the point seen at pixels (x, y): X right, Y down, Z forward.

        NaN where the lens model has no ray in front of the camera.
        """
        across = (np.asarray(x, np.float64) - self.cx) / self.fx
        down = (np.asarray(y, np.float64) - self.cy) / self.fy
        if not (self.fisheye or self.distortion):
            return across, down
        across, down = np.broadcast_arrays(across, down)
        return lens.undistort(across, down, self.distortion, fisheye=self.fisheye)

    def unproject(self, x: ArrayLike, y: ArrayLike, z: np.ndarray) -> np.ndarray:
        """Points [..., 3] seen at pixels (x, y) and depths z, in z's dtype.

        Depth is measured along the optical axis. Where it is 0, or the lens model has no ray, the
        point is (0, 0, 0).
        """
        across, down = self.rays(x, y)
        z = np.where(np.isnan(across), 0, z).astype(z.dtype)
        across, down = (np.nan_to_num(side).astype(z.dtype) for side in (across, down))
        return np.stack([across * z, down * z, z], axis=-1)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (x, y) [..., 2] that see the points (X, Y, Z) [..., 3]; NaN if there is none."""
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        front = np.where(z > 0, z, np.nan)
        across, down = x / front, y / front
        if self.fisheye or self.distortion:
            across, down = lens.distort(across, down, self.distortion, fisheye=self.fisheye)
        return np.stack([self.fx * across + self.cx, self.fy * down + self.cy], axis=-1)

    def points(self, metres: NDArray[np.float32]) -> NDArray[np.float32]:
        """Apply `unproject` to every pixel of a depth map [H, W]; the points are [H, W, 3]."""
        height, width = metres.shape
        points = np.empty((height, width, 3), metres.dtype)
        for top in range(0, height, _BAND):
            rows = slice(top, min(top + _BAND, height))
            y = np.arange(rows.start, rows.stop)[:, None]
            points[rows] = self.unproject(np.arange(width)[None, :], y, metres[rows])
        return points


def require_finite(name: str, value: object) -> float:
    """`value` as a float.

    Raises:
        UsageError: it is not a finite number; the message begins with the name.
    """
    number = isinstance(value, (int, float, np.integer, np.floating))
    if isinstance(value, bool) or not number or not math.isfinite(float(value)):  # type: ignore[arg-type]
        raise UsageError(f"{name}: expected a finite number, got {value!r:.100}")
    return float(value)  # type: ignore[arg-type]


def _require_size(size: tuple[int, int]) -> None:
    if min(size) < 1:
        raise UsageError(f"camera: expected a size of at least 1x1, got {size[0]}x{size[1]}")


def focal_of_fov(degrees: float, pixels: int) -> float:
    """Focal length in pixels of a field of view that spans `pixels`.

    Raises:
        UsageError: the angle is outside FOV_RANGE.
    """
    low, high = FOV_RANGE
    if not low <= require_finite("field of view", degrees) <= high:
        raise UsageError(f"field of view: expected {low:g} to {high:g} degrees, got {degrees!r}")
    return pixels / 2 / math.tan(math.radians(degrees) / 2)
