"""Intrinsics: a calibrated camera before the size of the photo is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from glpn.camera.camera import Camera
from glpn.errors import DataError, UsageError

DATASET_SOURCE = "the dataset's calibration"
# Two sizes show the same image if the ratios of their sides differ by less than this share.
_MAX_ASPECT_DIFFERENCE = 0.01


@dataclass(frozen=True)
class Intrinsics:
    """What a calibration states about a camera.

    Attributes:
        fx, fy: focal lengths in pixels.
        cx, cy: principal point; None is the middle of the image.
        size: (height, width) of the images it was calibrated for, if stated.
        distortion, fisheye, source: the same attributes as those of `Camera`.
        per_width: fx and fy are in widths of the image instead of pixels.
        others: the same camera at other sizes, which may be crops of this one.
    """

    fx: float
    fy: float
    cx: float | None = None
    cy: float | None = None
    size: tuple[int, int] | None = None
    distortion: tuple[float, ...] = ()
    fisheye: bool = False
    source: str = DATASET_SOURCE
    per_width: bool = False
    others: tuple[Intrinsics, ...] = ()

    def __post_init__(self) -> None:
        if not (0 < self.fx < math.inf and 0 < self.fy < math.inf):
            raise DataError(f"intrinsics: expected positive focal lengths, got {self.fx, self.fy}")
        try:
            camera = self.camera(self.size or (1, 1))
            if self.size is not None:
                camera.require_plausible(self.size)
        except UsageError as e:
            raise DataError(f"intrinsics: {e}") from None

    def camera(self, size: tuple[int, int]) -> Camera:
        """The camera of an image of (height, width), with these numbers as they are."""
        height, width = size
        unit = width if self.per_width else 1
        cx = (width - 1) / 2 if self.cx is None else self.cx
        cy = (height - 1) / 2 if self.cy is None else self.cy
        fx, fy = self.fx * unit, self.fy * unit
        return Camera(fx, fy, cx, cy, self.source, self.distortion, self.fisheye)

    def for_size(self, size: tuple[int, int]) -> Camera:
        """Return the camera of a photo of (height, width), scaled from the calibrated size.

        Raises:
            DataError: the aspect ratios differ, the principal point is outside the photo, or no
                lens has this focal length.
        """
        height, width = size
        chosen = self._best_match(size)
        camera = chosen.camera(chosen.size or size)
        if chosen.size is not None and chosen.size != size:
            if not _same_aspect(chosen.size, size):
                sizes = ", ".join(f"{wide}x{tall}" for tall, wide in self._sizes())
                raise DataError(
                    f"{self.source}: made for {sizes} pixels, but the photo has {width}x{height}: "
                    "the aspect ratio differs (rotated, or cropped?)"
                )
            camera = camera.scaled(chosen.size, size)
        camera.require_centre_inside(size)
        try:
            camera.require_plausible(size)
        except UsageError as e:
            raise DataError(f"{self.source}: {e}") from None
        return camera

    def _best_match(self, size: tuple[int, int]) -> Intrinsics:
        """Return these or one of `others`: those of this size, else of its aspect ratio."""
        choices = (self, *self.others)
        exact = [one for one in choices if one.size == size]
        scaled = [one for one in choices if one.size and _same_aspect(one.size, size)]
        return (exact or scaled or [self])[0]

    def _sizes(self) -> list[tuple[int, int]]:
        return [one.size for one in (self, *self.others) if one.size]


def at_several_sizes(found: Sequence[Intrinsics]) -> Intrinsics:
    """One camera that was calibrated at several sizes.

    Raises:
        DataError: two of them have the same size, so it is unclear which one to use.
    """
    first, *others = found
    if len({one.size for one in found}) < len(found):
        if all(replace(one, source="") == replace(first, source="") for one in others):
            return first
        raise DataError(
            f"contains {len(found)} different cameras; keep the one that took the photos"
        )
    return replace(first, others=tuple(others))


def _same_aspect(one: tuple[int, int], other: tuple[int, int]) -> bool:
    ratio = one[0] * other[1] / (one[1] * other[0])
    return abs(ratio - 1) <= _MAX_ASPECT_DIFFERENCE
