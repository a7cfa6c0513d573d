"""Weather and light: snow, frost, fog, brightness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.evaluation.corruptions.blur import convolve, trail

Pixels = NDArray[np.float32]

# Each row is the mean and spread of the flakes, their size and threshold, the radius and sigma of
# their trails, and the weight of the image.
SNOW = (
    (0.1, 0.3, 3.0, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2.0, 0.5, 12, 4, 0.75),
    (0.55, 0.3, 4.0, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
# Each row is the weight of the image and of the ice. The paper's weights fit its photos of frost.
FROST = ((1.0, 0.4), (0.85, 0.6), (0.75, 0.75), (0.7, 0.85), (0.65, 0.95))
FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (3.0, 1.5), (4.0, 1.4))  # thickness, decay
BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)  # added to the value of HSV

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_ICE = np.array([0.90, 0.96, 1.0], dtype=np.float32)


def snow(
    pixels: Pixels, constants: tuple[float, ...], rng: np.random.Generator, unit: float
) -> Pixels:
    """Whiten the image and add streaks of flakes that fall from either side."""
    mean, spread, size, threshold, radius, sigma, keep = constants
    height, width = pixels.shape[:2]
    grain = max(1, size * unit)
    coarse = (max(1, round(height / grain)), max(1, round(width / grain)))
    flakes = rng.normal(mean, spread, coarse).astype(np.float32)
    flakes = _enlarge(flakes, (height, width))
    flakes[flakes < threshold] = 0
    streaks = trail(radius * unit, sigma * unit, rng.uniform(45, 135))
    falling = np.clip(convolve(np.clip(flakes, 0, 1), streaks), 0, 1)[..., None]  # [H, W, 1]
    white = np.maximum(pixels, (pixels @ _GREY)[..., None] * 1.5 + 0.5)
    share = np.float32(keep)
    snowed: Pixels = share * pixels + (1 - share) * white + falling + np.rot90(falling, 2)
    return snowed


def frost(
    pixels: Pixels, constants: tuple[float, float], rng: np.random.Generator, unit: float
) -> Pixels:
    """Add ice on the lens: veins of ridged noise, denser towards the edges."""
    height, width = pixels.shape[:2]
    veins = 1 - np.abs(2 * plasma((height, width), 1.6, rng) - 1)
    needles = 1 - np.abs(2 * plasma((height, width), 1.3, rng) - 1)
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    border = np.maximum(np.abs(rows), np.abs(columns)) ** 2
    cover = np.clip(0.35 + 0.9 * border * plasma((height, width), 2.0, rng), 0, 1)
    ice = (cover * (0.25 + 0.5 * veins**4 + 0.5 * needles**2)).astype(np.float32)
    frozen: Pixels = np.float32(constants[1]) * ice[..., None] * _ICE
    frozen += np.float32(constants[0]) * pixels
    return frozen


def fog(
    pixels: Pixels, constants: tuple[float, float], rng: np.random.Generator, unit: float
) -> Pixels:
    """Add clouds of plasma noise; the image keeps its brightest value."""
    thickness, decay = constants
    brightest = float(pixels.max())
    clouds = plasma(pixels.shape[:2], decay, rng).astype(np.float32)[..., None]
    fogged: Pixels = pixels + np.float32(thickness) * clouds
    fogged *= brightest / (brightest + thickness)
    return fogged


def brightness(pixels: Pixels, gain: float, rng: np.random.Generator, unit: float) -> Pixels:
    """Raise the value of HSV; hue and saturation stay."""
    value = pixels.max(axis=-1, keepdims=True)
    raised = np.minimum(value + np.float32(gain), 1)
    colour = np.divide(pixels, value, where=value > 0, out=np.ones_like(pixels))
    brightened: Pixels = colour * raised
    return brightened


def plasma(shape: tuple[int, ...], decay: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return diamond-square noise in 0..1, [H, W]; each octave is `decay` times weaker."""
    side = 1 << max(1, (max(shape) - 1).bit_length())
    grid = np.zeros((side, side))
    step, wobble = side, 1.0
    while step >= 2:
        half, count = step // 2, side // step
        around = rng.uniform(-wobble, wobble, (3, count, count))
        corners = grid[::step, ::step]
        pairs = corners + np.roll(corners, -1, axis=0)
        centres = (pairs + np.roll(pairs, -1, axis=1)) / 4 + around[0]
        grid[half::step, half::step] = centres
        above = centres + np.roll(centres, 1, axis=0)
        grid[::step, half::step] = (corners + np.roll(corners, -1, axis=1) + above) / 4 + around[1]
        beside = centres + np.roll(centres, 1, axis=1)
        grid[half::step, ::step] = (corners + np.roll(corners, -1, axis=0) + beside) / 4 + around[2]
        step, wobble = half, wobble / decay
    grid -= grid.min()
    grid /= grid.max()
    return grid[: shape[0], : shape[1]]


def _enlarge(field: Pixels, size: tuple[int, int]) -> Pixels:
    """Enlarge [h, w] bilinearly to [H, W]."""
    grown = Image.fromarray(field).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.array(grown, dtype=np.float32)
