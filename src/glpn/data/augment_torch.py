"""The augmentation of `augment`, applied to whole batches on their device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from glpn.data.augment import OPENCV_HUES, AugmentConfig, Draw
from glpn.errors import DataError


def augment_batch(
    images: Tensor, depth: Tensor, draws: Sequence[Draw], config: AugmentConfig
) -> tuple[Tensor, Tensor]:
    """Apply one draw per frame.

    Args:
        images: uint8 [B, 3, H, W].
        depth: metres [B, H, W], 0 = unknown, on the same device.
        draws: B draws for frames of this size, made with `config`.
        config: the configuration of the draws.

    Returns:
        pixels float32 [B, 3, h, w] in 0..1 and depth float32 [B, h, w], of the crop's size. They
        equal the result of `augment.apply`, except that the latter rounds to 8 bits and uses a
        wider filter to zoom out.
    """
    batch, _, height, width = images.shape
    if depth.shape != (batch, height, width) or len(draws) != batch:
        raise DataError(
            f"augment_batch: images {tuple(images.shape)}, depth {tuple(depth.shape)} "
            f"and {len(draws)} draws do not belong together"
        )
    pixels = images.to(torch.float32) / 255
    depth = depth.to(torch.float32)
    if any(fate.cut is not None for fate in draws):
        pixels = _paste(pixels, depth, draws, config)
    pixels, depth = _place(pixels, depth, draws)
    return _recolour(pixels, draws), depth


def _paste(pixels: Tensor, depth: Tensor, draws: Sequence[Draw], config: AugmentConfig) -> Tensor:
    """Replace each frame's rectangle with the grey values of the depth."""
    height, width = depth.shape[-2:]
    cuts = torch.tensor([fate.cut or (0, 0, 0, 0) for fate in draws], device=depth.device)
    top, left, tall, wide = cuts[:, :, None].unbind(1)  # [B, 1] each
    row = torch.arange(height, device=depth.device)
    column = torch.arange(width, device=depth.device)
    rows = (row >= top) & (row < top + tall)  # [B, H]
    columns = (column >= left) & (column < left + wide)  # [B, W]
    if config.cutdepth_values == "modulo":
        grey = torch.remainder((depth * config.raw_scale).round(), 256) / 255
    else:
        grey = (depth / config.max_depth).clamp(0, 1)
    inside = rows[:, :, None] & columns[:, None, :]  # [B, H, W]
    return torch.where(inside[:, None], grey[:, None], pixels)


def _place(pixels: Tensor, depth: Tensor, draws: Sequence[Draw]) -> tuple[Tensor, Tensor]:
    """Flip, zoom and crop in one sampling step: image bilinear, depth nearest."""
    batch, height, width = depth.shape
    crop = draws[0].crop or (height, width)
    table = torch.tensor(
        [(*fate.corner, fate.zoom, fate.flip) for fate in draws], device=depth.device
    )
    top, left, zoom, flip = table[:, :, None].unbind(1)  # [B, 1] each
    y = top + (torch.arange(crop[0], device=depth.device) + 0.5) / zoom  # [B, h] pixel edges
    x = left + (torch.arange(crop[1], device=depth.device) + 0.5) / zoom  # [B, w]
    x = torch.where(flip > 0, width - x, x)
    grid_x = (2 * x / width - 1)[:, None, :].expand(-1, crop[0], -1)
    grid_y = (2 * y / height - 1)[:, :, None].expand(-1, -1, crop[1])
    grid = torch.stack((grid_x, grid_y), dim=-1)  # [B, h, w, 2]
    pixels = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    frame = torch.arange(batch, device=depth.device)[:, None, None]
    rows = y.floor().long().clamp(0, height - 1)[:, :, None]
    columns = _column(x, flip, width)[:, None, :]
    return pixels, depth[frame, rows, columns] / zoom[:, :, None]


def _column(x: Tensor, flip: Tensor, width: int) -> Tensor:
    """The source column of each position; after mirroring, an edge belongs to the left pixel."""
    index = torch.where(flip > 0, x.ceil() - 1, x.floor())
    return index.long().clamp(0, width - 1)


def _recolour(pixels: Tensor, draws: Sequence[Draw]) -> Tensor:
    table = torch.tensor(
        [(fate.contrast, fate.brightness, fate.gamma, *fate.hsv) for fate in draws],
        device=pixels.device,
    )
    contrast, brightness, gamma, hue, saturation, value = table[:, :, None, None].unbind(1)
    pixels = (pixels * contrast[:, None] + brightness[:, None]).clamp(0, 1)
    pixels = pixels ** gamma[:, None]
    if all(fate.hsv == (0.0, 0.0, 0.0) for fate in draws):
        return pixels
    h, s, v = _to_hsv(pixels)
    h = h + hue / OPENCV_HUES
    return _to_rgb(h, (s + saturation / 255).clamp(0, 1), (v + value / 255).clamp(0, 1))


def _to_hsv(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in turns, saturation and value in 0..1, each [B, h, w]."""
    red, green, blue = pixels.unbind(1)
    value = pixels.amax(1)
    chroma = value - pixels.amin(1)
    divisor = chroma.clamp_min(1e-8)
    hue = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    return hue / 6, chroma / value.clamp_min(1e-8), value


def _to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    channels = []
    for n in (5, 3, 1):  # red, green, blue
        k = torch.remainder(n + 6 * hue, 6)
        share = torch.minimum(k, 4 - k).clamp(0, 1)
        channels.append(value * (1 - saturation * share))
    return torch.stack(channels, dim=1)
