"""Augmentation of training frames, as a function of a seed.

A frame's random values are drawn first, as a `Draw` of plain numbers from (seed, epoch, index).
They are applied second: here to arrays, in `augment_torch` to whole batches on a device. Both apply
the same draws, in the order in which the paper lists them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.data.cutdepth import (
    KINDS,
    VALUES,
    Rectangle,
    depth_as_colour,
    square_piece,
    vertical_strip,
)
from glpn.errors import DataError, UsageError, require_choice

NYU_CROP = (448, 576)  # Kim et al. 2022, section 4.1
OPENCV_HUES = 180  # hue steps in OpenCV's 8-bit HSV, the unit of the published shifts
_PILLOW_HUES = 256


@dataclass(frozen=True)
class AugmentConfig:
    """Which augmentations are applied, how often and how strongly; defaults as published.

    `crop` is (height, width); None keeps the whole image. `zoom` (min, max) resizes the image by a
    factor drawn from that range and divides the depth by it: see `apply`.
    `cutdepth_values` "modulo" and `raw_scale` reproduce the authors' code: see `depth_as_colour`.
    """

    cutdepth: str = "vertical"
    cutdepth_probability: float = 0.25
    cutdepth_p: float = 0.75
    cutdepth_values: str = "range"
    max_depth: float = 10.0
    raw_scale: float = 1000.0
    flip_probability: float = 0.5
    crop: tuple[int, int] | None = NYU_CROP
    zoom: tuple[float, float] = (1.0, 1.0)
    light_probability: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2
    gamma_probability: float = 0.5
    gamma: tuple[float, float] = (0.8, 1.2)
    hsv_probability: float = 0.5
    hue: float = 20.0
    saturation: float = 30.0
    value: float = 20.0

    def __post_init__(self) -> None:
        require_choice("cutdepth", self.cutdepth, KINDS)
        require_choice("cutdepth_values", self.cutdepth_values, VALUES)
        for key in ("cutdepth", "flip", "light", "gamma", "hsv"):
            _between(f"{key}_probability", getattr(self, f"{key}_probability"), 0, 1)
        _between("cutdepth_p", self.cutdepth_p, 0, 1)
        for key in ("brightness", "contrast"):
            _between(key, getattr(self, key), 0, 1)
        for key, most in (("hue", OPENCV_HUES / 2), ("saturation", 255), ("value", 255)):
            _between(key, getattr(self, key), 0, most)
        for key in ("gamma", "zoom"):
            low, high = getattr(self, key)
            if not 0 < low <= high < math.inf:
                raise UsageError(f"{key}: expected 0 < least <= most, got {(low, high)}")
        if self.crop is not None and not (len(self.crop) == 2 and min(self.crop) >= 1):
            raise UsageError(f"crop: expected (height, width), got {self.crop}")
        if self.crop is None and self.zoom != (1.0, 1.0):
            raise UsageError("zoom: needs a crop, or the frames would differ in size")
        if not (self.max_depth > 0 and self.raw_scale > 0):
            raise UsageError(
                f"max_depth and raw_scale: expected positive numbers, "
                f"got {self.max_depth} and {self.raw_scale}"
            )


@dataclass(frozen=True)
class Draw:
    """The random values of one frame; the defaults change nothing."""

    cut: Rectangle | None = None
    flip: bool = False
    zoom: float = 1.0
    corner: tuple[float, float] = (0.0, 0.0)  # top left corner of the crop: row, column
    crop: tuple[int, int] | None = None
    contrast: float = 1.0  # factor
    brightness: float = 0.0  # fraction of white to add
    gamma: float = 1.0
    hsv: tuple[float, float, float] = (0.0, 0.0, 0.0)  # steps of OpenCV's 8-bit HSV


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random generator of one frame in one epoch."""
    return np.random.default_rng((seed, epoch, index))


def draw(rng: np.random.Generator, config: AugmentConfig, *, size: tuple[int, int]) -> Draw:
    """Draw the random values for a frame of `size`.

    The number of values drawn does not depend on the configuration, so disabling one augmentation
    does not change the others.

    Raises:
        DataError: the crop is larger than the frame.
    """
    u = rng.random(20)
    zoom, corner = _place(config, size, u[6:9])
    light = u[9] < config.light_probability
    hsv = u[14] < config.hsv_probability
    low, high = config.gamma
    return Draw(
        cut=_cut(config, size, u[:5]),
        flip=bool(u[5] < config.flip_probability),
        zoom=zoom,
        corner=corner,
        crop=config.crop,
        contrast=1 + config.contrast * _signed(u[10]) if light else 1.0,
        brightness=config.brightness * _signed(u[11]) if light else 0.0,
        gamma=low + (high - low) * float(u[13]) if u[12] < config.gamma_probability else 1.0,
        hsv=(
            (
                config.hue * _signed(u[15]),
                config.saturation * _signed(u[16]),
                config.value * _signed(u[17]),
            )
            if hsv
            else (0.0, 0.0, 0.0)
        ),
    )


def apply(
    image: NDArray[np.uint8], depth: NDArray[np.float32], fate: Draw, config: AugmentConfig
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One training frame: image uint8 [H, W, 3] and depth in metres, both of the crop's size.

    Zoom keeps the metres correct for a camera of fixed focal length. In an image enlarged by s, an
    object f·X/Z pixels wide becomes s·f·X/Z wide. The same camera sees this at distance Z/s, so
    the depth is divided by s. The arguments are not modified.

    Raises:
        DataError: image and depth differ in size.
    """
    if image.shape[:2] != depth.shape:
        raise DataError(f"image {image.shape[:2]} and depth {depth.shape} differ in size")
    if fate.cut is not None:
        image = _paste(image, depth, fate.cut, config)
    if fate.flip:
        image, depth = image[:, ::-1], depth[:, ::-1]
    image, depth = _crop(image, depth, fate)
    return recolour(image, fate), np.array(depth, dtype=np.float32, order="C")


def recolour(image: NDArray[np.uint8], fate: Draw) -> NDArray[np.uint8]:
    """Brightness and contrast, then gamma, then HSV; a new array."""
    ramp = np.arange(256) / 255
    if fate.contrast != 1 or fate.brightness != 0:
        ramp = _eight_bits(ramp * fate.contrast + fate.brightness) / 255
    if fate.gamma != 1:
        ramp = ramp**fate.gamma
    image = _eight_bits(ramp)[image]
    return image if fate.hsv == (0.0, 0.0, 0.0) else _shift_hsv(image, fate.hsv)


def _cut(config: AugmentConfig, size: tuple[int, int], u: np.ndarray) -> Rectangle | None:
    if config.cutdepth == "none" or u[0] >= config.cutdepth_probability:
        return None
    column, extent, row, tallness = (float(v) for v in u[1:5])
    if config.cutdepth == "vertical":
        return vertical_strip(size, column, extent, p=config.cutdepth_p)
    return square_piece(size, (row, column), (tallness, extent), p=config.cutdepth_p)


def _place(
    config: AugmentConfig, size: tuple[int, int], u: np.ndarray
) -> tuple[float, tuple[float, float]]:
    """The zoom, limited so that the crop fits, and the top left corner of the crop."""
    if config.crop is None:
        return 1.0, (0.0, 0.0)
    fit = max(c / side for c, side in zip(config.crop, size, strict=True))
    if fit > 1:
        raise DataError(f"crop: {config.crop} (height, width) does not fit a frame of {size}")
    low, high = config.zoom
    low = max(low, fit)
    zoom = low + max(high - low, 0) * float(u[0])
    rows, columns = (side - c / zoom for c, side in zip(config.crop, size, strict=True))
    if zoom == 1:  # a crop at whole pixels needs no resampling
        return zoom, (float(int(u[1] * (rows + 1))), float(int(u[2] * (columns + 1))))
    return zoom, (float(u[1] * rows), float(u[2] * columns))


def _crop(
    image: NDArray[np.uint8], depth: NDArray[np.float32], fate: Draw
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    if fate.crop is None:
        return image, depth
    height, width = fate.crop
    top, left = fate.corner
    if fate.zoom == 1:
        window = np.s_[int(top) : int(top) + height, int(left) : int(left) + width]
        return image[window], depth[window]
    box = (left, top, left + width / fate.zoom, top + height / fate.zoom)
    picture = Image.fromarray(np.ascontiguousarray(image))
    resized = picture.resize((width, height), Image.Resampling.BILINEAR, box=box)
    rows, columns = nearest(top, height, fate.zoom), nearest(left, width, fate.zoom)
    return np.asarray(resized), depth[rows[:, None], columns] / np.float32(fate.zoom)


def nearest(start: float, length: int, zoom: float) -> NDArray[np.int64]:
    """Index of the source pixel under each target pixel's centre; depths are never averaged."""
    indices: NDArray[np.int64] = np.floor(start + (np.arange(length) + 0.5) / zoom).astype(np.int64)
    return indices


def _paste(
    image: NDArray[np.uint8], depth: NDArray[np.float32], cut: Rectangle, config: AugmentConfig
) -> NDArray[np.uint8]:
    top, left, height, width = cut
    window = np.s_[top : top + height, left : left + width]
    grey = depth_as_colour(
        depth[window],
        values=config.cutdepth_values,
        max_depth=config.max_depth,
        raw_scale=config.raw_scale,
    )
    image = image.copy()
    image[window] = grey[..., None]
    return image


def _shift_hsv(image: NDArray[np.uint8], shift: tuple[float, float, float]) -> NDArray[np.uint8]:
    hsv = np.array(Image.fromarray(image).convert("HSV")).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + round(shift[0] * _PILLOW_HUES / OPENCV_HUES)) % _PILLOW_HUES
    hsv[..., 1:] = np.clip(hsv[..., 1:] + np.rint(shift[1:]).astype(np.int16), 0, 255)
    height, width = hsv.shape[:2]
    shifted = Image.frombytes("HSV", (width, height), hsv.astype(np.uint8).tobytes())
    return np.asarray(shifted.convert("RGB"))


def _eight_bits(share: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def _signed(u: float) -> float:
    """Map [0, 1) to [-1, 1)."""
    return 2 * float(u) - 1


def _between(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{key}: expected {low:g} to {high:g}, got {value}")
