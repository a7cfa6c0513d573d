"""Sensor: from light to the 8-bit image that a phone or a depth camera stores."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from glpn.synthetic.rendering.blur import box
from glpn.synthetic.rendering.surface import pick

_GRAIN_SIDE = 512
_GRAIN_SEED = 7
_EXPOSURE_STEPS = (
    64  # exposure steps per octave, so that rounding of the mean does not shift a whole image
)
_BLOCK = 8
# Quantisation tables of the JPEG standard, annex K, for quality 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


class Sensors(NamedTuple):
    """`scene.Sensor` for a batch: numbers [B], balance [B, 3], shift [B, 2]."""

    brightness: Tensor
    balance: Tensor
    contrast: Tensor
    saturation: Tensor
    vignette: Tensor
    blur: Tensor
    sharpen: Tensor
    noise: Tensor
    grain: Tensor
    quality: Tensor
    shift: Tensor


def develop(light: Tensor, sensors: Sensors) -> Tensor:
    """Map linear radiance [B, 3, H, W] to RGB uint8 [B, H, W, 3]."""
    image = light * _exposure(light, sensors.brightness)[:, None, None, None]
    image = image * sensors.balance[:, :, None, None] * _vignette(image, sensors.vignette)
    image = _tone(image, sensors)
    image = _focus(image, sensors)
    image = image + _noise(image, sensors)
    image = _jpeg(image.clamp(0, 1) * 255, sensors.quality)
    return image.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _exposure(light: Tensor, brightness: Tensor) -> Tensor:
    """Factor per image that brings the mean, with compressed highlights, to `brightness`."""
    grey = light[:, :, ::4, ::4].mean(1).flatten(1)
    log_mean = torch.stack([row.clamp_min(1e-4).double().log2().mean() for row in grey])
    steps = ((brightness.double().log2() - log_mean) * _EXPOSURE_STEPS).round()
    return torch.exp2(steps / _EXPOSURE_STEPS).float()


def _vignette(image: Tensor, strength: Tensor) -> Tensor:
    height, width = image.shape[2:]
    y = torch.linspace(-1, 1, height, device=image.device)[:, None] * (height / width)
    x = torch.linspace(-1, 1, width, device=image.device)
    square = (x * x + y * y) / 1.5625
    return 1 - strength[:, None, None, None] * square


def _tone(image: Tensor, sensors: Sensors) -> Tensor:
    """Saturation, a shoulder for highlights, gamma 1/2.2 and contrast."""
    grey = image.mean(1, keepdim=True)
    image = grey + (image - grey) * sensors.saturation[:, None, None, None]
    image = image.clamp_min(0)
    image = image * (1 + 0.15 * image) / (1 + image)  # reaches 1 at 6.5 times the mid tone
    image = (image * 1.35).clamp(1e-4, 1).pow(1 / 2.2)
    return (image - 0.45) * sensors.contrast[:, None, None, None] + 0.42


def _focus(image: Tensor, sensors: Sensors) -> Tensor:
    """Lens blur and in-camera sharpening."""
    scale = image.shape[2] / 240
    sigma = (sensors.blur * scale).clamp_min(0.05)
    radius = max(1, math.ceil(1.2 * scale - 0.25))
    offset = torch.arange(-radius, radius + 1, device=image.device)
    kernel = torch.exp(-0.5 * (offset / sigma[:, None]).square())
    kernel = kernel / kernel.sum(1, keepdim=True)
    soft = _along(_along(image, kernel, 3), kernel, 2)
    return torch.lerp(box(soft, 1), soft, 1 + sensors.sharpen[:, None, None, None])


def _along(image: Tensor, kernel: Tensor, dim: int) -> Tensor:
    """Convolve each image with its own kernel [B, taps] along one axis; edges are repeated."""
    radius = kernel.shape[1] // 2
    pad = (radius, radius, 0, 0) if dim == 3 else (0, 0, radius, radius)
    padded = F.pad(image, pad, mode="replicate")
    total = torch.zeros_like(image)
    for tap in range(kernel.shape[1]):
        weight = kernel[:, tap, None, None, None]
        total = total + weight * padded.narrow(dim, tap, image.shape[dim])
    return total


def _noise(image: Tensor, sensors: Sensors) -> Tensor:
    """Grain from a fixed periodic field, shifted per image; stronger in the shadows."""
    field = _grain(str(image.device))
    height, width = image.shape[2:]
    row = torch.arange(height, device=image.device)
    column = torch.arange(width, device=image.device)
    layers = []
    for number, size in enumerate((1, 3)):
        rows = (row // size + sensors.shift[:, :1] + 131 * number) % _GRAIN_SIDE
        columns = (column // size + sensors.shift[:, 1:]) % _GRAIN_SIDE
        index = rows[:, :, None] * _GRAIN_SIDE + columns[:, None, :]
        layers.append(pick(field, index.flatten()).reshape(3, *index.shape))
    grain = sensors.grain[:, None, None]
    noise = torch.lerp(layers[0], layers[1], grain).transpose(0, 1)  # [B, 3, H, W]
    return noise * sensors.noise[:, None, None, None] * (1.3 - 0.8 * image.clamp(0, 1))


@lru_cache(maxsize=4)
def _grain(device: str) -> Tensor:
    rng = np.random.default_rng(_GRAIN_SEED)
    own = rng.standard_normal((3, _GRAIN_SIDE**2), np.float32)
    shared = rng.standard_normal((1, _GRAIN_SIDE**2), np.float32)
    return torch.from_numpy(0.7 * own + 0.7 * shared).to(device)


def _jpeg(image: Tensor, quality: Tensor) -> Tensor:
    """JPEG compression of an image in 0..255, chroma at half size. Quality 0 changes nothing."""
    if not (quality > 0).any():
        return image
    height, width = image.shape[2:]
    pad = (0, -width % (2 * _BLOCK), 0, -height % (2 * _BLOCK))
    padded = F.pad(image, pad, mode="replicate")
    ycc = torch.einsum("ij,bjhw->bihw", image.new_tensor(_TO_YCC), padded)
    scale = torch.where(quality < 50, 50 / quality.clamp_min(1), 2 - quality / 50).clamp_min(0.02)
    luma = _quantised(ycc[:, :1] - 128, scale) + 128
    chroma = _quantised(F.avg_pool2d(ycc[:, 1:], 2), 1.3 * scale)
    chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
    ycc = torch.cat([luma, chroma], 1)
    rgb = torch.einsum("ij,bjhw->bihw", image.new_tensor(_TO_RGB), ycc)
    return torch.where((quality > 0)[:, None, None, None], rgb[:, :, :height, :width], image)


def _quantised(plane: Tensor, scale: Tensor) -> Tensor:
    """Quantise the discrete cosine transform of 8 × 8 blocks."""
    wave = _cosines().to(plane.device)
    table = plane.new_tensor(_LUMA) * scale[:, None, None]  # [B, 8, 8]
    table = table.clamp_min(1)[:, None, None, None]
    batch, channels, height, width = plane.shape
    shape = (batch, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    blocks = plane.reshape(shape).transpose(3, 4)
    frequencies = wave @ blocks @ wave.T  # [B, C, rows, columns, 8, 8]
    blocks = wave.T @ ((frequencies / table).round() * table) @ wave
    return blocks.transpose(3, 4).reshape(plane.shape)


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """The orthonormal DCT matrix [8, 8]."""
    k = np.arange(_BLOCK)[:, None]
    n = np.arange(_BLOCK)
    matrix = np.sqrt(2 / _BLOCK) * np.cos(np.pi * (2 * n + 1) * k / (2 * _BLOCK))
    matrix[0] /= math.sqrt(2)
    return torch.from_numpy(matrix.astype(np.float32))
