"""One picture of a prediction: photo, depth, uncertainty, encoder maps and fusion gates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from glpn.depth.colormaps import DEFAULT_COLORMAP, ROBUST_PERCENTILES, color_range, colorize
from glpn.depth.depth import Depth
from glpn.depth.legend import MIN_HEIGHT, legend
from glpn.errors import UsageError

WIDTH = 320  # pixels of one panel
_GAP, _TITLE = 12, 28  # pixels between panels, and of the title above each
_PAPER, _INK = (255, 255, 255), (20, 20, 20)
_SIGMA_COLORS = "viridis"
_STRIDES = (4, 8, 16, 32)


def explanation(
    depth: Depth,
    maps: Sequence[NDArray[np.float32]],
    gates: Sequence[NDArray[np.float32]],
) -> NDArray[np.uint8]:
    """Draw the inner maps of a prediction beside its result, uint8 [H, W, 3].

    The first row shows the photo, the depth and, where the depth has one, its sigma. The second row
    shows the encoder's maps, each by its three principal components as red, green and blue. Two
    rows show how much of the local and of the global map each fusion lets through (GLPN, figure 3):
    black is 0, white is 1.

    Args:
        depth: a depth that holds its photo.
        maps: the encoder's maps, [C, h, w] each, at strides 4, 8, 16 and 32.
        gates: [2, h, w] in 0..1 for every fusion, at strides 16, 8 and 4; may be empty.

    Raises:
        UsageError: the depth has no photo.
    """
    if depth.image is None:
        raise UsageError("an explanation needs the photo; this depth was made without it")
    size = (WIDTH, max(round(WIDTH * depth.metres.shape[0] / depth.metres.shape[1]), 1))
    top = [_panel("photo", depth.image, size), _with_legend("depth", depth.metres, size)]
    if depth.sigma is not None:
        top.append(_with_legend("sigma", depth.sigma, size, _SIGMA_COLORS))
    rows = [top]
    rows.append(
        [
            _panel(f"encoder, 1/{stride}", principal_colors(x), size)
            for stride, x in zip(_STRIDES, maps, strict=True)
        ]
    )
    for channel, name in enumerate(("local", "global")):
        panels = [
            _panel(f"{name} gate, 1/{stride}", _grey(gate[channel]), size)
            for stride, gate in zip((16, 8, 4), gates, strict=False)
        ]
        rows.append(panels)
    return _grid([row for row in rows if row])


def principal_colors(x: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The three principal components of a map [C, h, w] as RGB, uint8 [h, w, 3].

    The sign of each component is chosen so that its largest weight is positive.
    """
    flat = x.reshape(len(x), -1).astype(np.float64)  # [C, h·w]
    flat = flat - flat.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(flat @ flat.T)
    axes = vectors[:, ::-1][:, :3]  # [C, 3], the strongest first
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, np.arange(axes.shape[1])])
    parts = axes.T @ flat  # [3, h·w]
    low, high = np.percentile(parts, ROBUST_PERCENTILES, axis=1)[..., None]
    levels = (parts - low) / np.maximum(high - low, 1e-12) * 255
    colors = np.zeros((3, flat.shape[1]))
    colors[: len(levels)] = levels.clip(0, 255)
    rounded: NDArray[np.uint8] = np.rint(colors.T.reshape(*x.shape[1:], 3)).astype(np.uint8)
    return rounded


def _grey(gate: NDArray[np.float32]) -> NDArray[np.uint8]:
    levels = np.rint(gate * 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def _with_legend(
    title: str, metres: NDArray[np.float32], size: tuple[int, int], colormap: str = DEFAULT_COLORMAP
) -> Image.Image:
    """A colour picture, and its legend in metres beside it."""
    near, far = color_range(metres)
    picture = colorize(metres, colormap, near=near, far=far)
    # A legend's width grows with its height; beside a tall picture it would leave no room.
    height = min(max(size[1], MIN_HEIGHT), WIDTH)
    bar = Image.fromarray(legend(height, colormap, near, far))
    panel = _panel(title, picture, (size[0] - bar.width, size[1]))
    whole = Image.new("RGB", (size[0], panel.height), _PAPER)
    whole.paste(panel, (0, 0))
    whole.paste(bar, (size[0] - bar.width, _TITLE))
    return whole


def _panel(title: str, picture: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    """A picture of the given (width, height) under its title."""
    panel = Image.new("RGB", (size[0], size[1] + _TITLE), _PAPER)
    font = ImageFont.load_default(15)
    ImageDraw.Draw(panel).text((0, _TITLE // 2), title, fill=_INK, font=font, anchor="lm")
    smooth = Image.Resampling.BILINEAR
    panel.paste(Image.fromarray(picture).resize(size, smooth), (0, _TITLE))
    return panel


def _grid(rows: Sequence[Sequence[Image.Image]]) -> NDArray[np.uint8]:
    columns = max(len(row) for row in rows)
    width = columns * WIDTH + (columns + 1) * _GAP
    height = sum(max(panel.height for panel in row) + _GAP for row in rows) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    y = _GAP
    for row in rows:
        for column, panel in enumerate(row):
            sheet.paste(panel, (_GAP + column * (WIDTH + _GAP), y))
        y += max(panel.height for panel in row) + _GAP
    return np.asarray(sheet)
