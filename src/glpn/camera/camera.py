"""Camera: which direction each pixel of one picture looks in."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glpn.camera import lens
from glpn.errors import DataError, UsageError

# Field of view along the longer side, in degrees, where nothing is known of the camera. The main
# camera of a phone has 67 (26 mm equivalent), a Kinect 63, a 35 mm lens 54: in focal length 60
# is within 16 % of each.
ASSUMED_FOV = 60.0
_BAND = 128  # rows undistorted at a time: that takes many times the memory of its result


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, perhaps behind a lens that distorts, in pixels of the picture it took.

    Pixel centres have whole coordinates: the top left pixel's centre is (0, 0), the middle of a
    picture ((W - 1) / 2, (H - 1) / 2). A size is (height, width). All this is as in OpenCV.

    Attributes:
        fx, fy: focal lengths.
        cx, cy: principal point.
        source: where the numbers come from, in words.
        distortion: OpenCV's k1, k2, p1, p2[, k3[, k4, k5, k6]], or of a fisheye k1, k2, k3, k4;
            empty where straight lines stay straight. Zeros at the end may be left out or added.
        fisheye: whether the lens follows OpenCV's fisheye model, not the radial-tangential one.

    Raises:
        UsageError: a number is not finite, a focal length not above 0, or the coefficients are
            of no known model.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    source: str
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    def __post_init__(self) -> None:
        for name in ("fx", "fy", "cx", "cy"):
            value = require_finite(f"camera {name}", getattr(self, name))
            if name in ("fx", "fy") and value <= 0:
                raise UsageError(f"camera {name}: expected a focal length above 0, got {value}")
            object.__setattr__(self, name, value)
        checked = lens.coefficients(self.distortion, fisheye=self.fisheye)
        object.__setattr__(self, "distortion", checked)

    @classmethod
    def from_focal(cls, focal: float, size: tuple[int, int], *, source: str) -> Camera:
        """A camera with square pixels that looks through the middle of the picture.

        Args:
            focal: in pixels.
            size: (height, width).
            source: as the attribute.
        """
        height, width = size
        if height < 1 or width < 1:
            raise UsageError(f"camera: expected a size of at least 1x1, got {height}x{width}")
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, source)

    @classmethod
    def from_fov(cls, degrees: float, size: tuple[int, int], *, source: str) -> Camera:
        """The same from the horizontal field of view, edge to edge.

        Raises:
            UsageError: not 0 < degrees < 180.
        """
        return cls.from_focal(_focal(degrees, size[1]), size, source=source)

    @classmethod
    def assumed(cls, size: tuple[int, int]) -> Camera:
        """A guess, and its `source` says so: ASSUMED_FOV along the longer side."""
        source = f"assumed {ASSUMED_FOV:g}° field of view along the longer side"
        return cls.from_focal(_focal(ASSUMED_FOV, max(size)), size, source=source)

    def scaled(self, size_from: tuple[int, int], size_to: tuple[int, int]) -> Camera:
        """The camera of the same picture resized from one (height, width) to another."""
        if min(*size_from, *size_to) < 1:
            raise UsageError(f"camera: cannot scale from {size_from} to {size_to}")
        down, across = size_to[0] / size_from[0], size_to[1] / size_from[1]
        return dataclasses.replace(
            self,
            fx=self.fx * across,
            fy=self.fy * down,
            cx=(self.cx + 0.5) * across - 0.5,  # edges keep their place, not pixel centres
            cy=(self.cy + 0.5) * down - 0.5,
        )

    def record(self) -> dict[str, Any]:
        """The attributes as JSON types, those of the lens only where it distorts."""
        values = dataclasses.asdict(self)
        del values["distortion"], values["fisheye"]
        if self.fisheye or self.distortion:
            values |= {"distortion": list(self.distortion), "fisheye": self.fisheye}
        return values

    @classmethod
    def from_record(cls, values: Any) -> Camera:
        """The camera whose `record` this is.

        Raises:
            DataError: it is no record of one.
            UsageError: a value of it is impossible.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        needed = names - {"distortion", "fisheye"}
        if not isinstance(values, dict) or not needed <= values.keys() <= names:
            raise DataError(f"metadata camera: expected {sorted(needed)}, got {values!r:.100}")
        return cls(**values)

    def rays(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """X / Z and Y / Z of what is seen at pixels (x, y): X right, Y down, Z forward.

        NaN where the lens model puts nothing that lies in front of the camera.
        """
        across = (np.asarray(x, np.float64) - self.cx) / self.fx
        down = (np.asarray(y, np.float64) - self.cy) / self.fy
        if not (self.fisheye or self.distortion):
            return across, down
        across, down = np.broadcast_arrays(across, down)
        return lens.undistort(across, down, self.distortion, fisheye=self.fisheye)

    def unproject(self, x: ArrayLike, y: ArrayLike, z: NDArray[Any]) -> NDArray[Any]:
        """Points [..., 3] seen at pixels (x, y) and depths z, in z's type.

        The depth is measured along the optical axis. Where it is 0, and where the lens model has
        no ray, the point is (0, 0, 0).
        """
        across, down = self.rays(x, y)
        z = np.where(np.isnan(across), 0, z).astype(z.dtype)
        across, down = (np.nan_to_num(side).astype(z.dtype) for side in (across, down))
        return np.stack([across * z, down * z, z], axis=-1)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """Pixels (x, y) [..., 2] that see points (X, Y, Z) [..., 3]; NaN where none does."""
        x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
        front = np.where(z > 0, z, np.nan)
        across, down = x / front, y / front
        if self.fisheye or self.distortion:
            across, down = lens.distort(across, down, self.distortion, fisheye=self.fisheye)
        return np.stack([self.fx * across + self.cx, self.fy * down + self.cy], axis=-1)

    def points(self, metres: NDArray[np.float32]) -> NDArray[np.float32]:
        """`unproject` for every pixel of a depth map: [H, W] → [H, W, 3]."""
        height, width = metres.shape
        points = np.empty((height, width, 3), metres.dtype)
        for top in range(0, height, _BAND):
            rows = slice(top, min(top + _BAND, height))
            y = np.arange(rows.start, rows.stop)[:, None]
            points[rows] = self.unproject(np.arange(width)[None, :], y, metres[rows])
        return points


def require_finite(name: str, value: Any) -> float:
    """`value` as a float.

    Raises:
        UsageError: it is no finite number; the message begins with the name.
    """
    number = isinstance(value, (int, float, np.integer, np.floating))
    if not number or isinstance(value, bool) or not math.isfinite(value):
        raise UsageError(f"{name}: expected a finite number, got {value!r}")
    return float(value)


def _focal(degrees: float, pixels: int) -> float:
    """Focal length in pixels of a field of view that spans so many pixels."""
    if not 0 < require_finite("field of view", degrees) < 180:
        raise UsageError(f"field of view: expected 0 < degrees < 180, got {degrees}")
    return pixels / 2 / math.tan(math.radians(degrees) / 2)
