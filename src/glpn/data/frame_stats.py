"""The statistics of one frame on which the dataset check bases its judgements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.data.levels import Levels, levels_of
from glpn.data.sample import Sample

if TYPE_CHECKING:
    from glpn.data.model_opinion import Opinion

REACH = 8  # largest shift searched, in pixels of an image of WIDTH columns
WIDTH = 160  # columns of the reduced frames used for edges and planes

Floats = NDArray[np.floating]

_THUMB = (24, 32)
_FINGERPRINT = (36, 48)  # size of the edge maps that are compared between frames
_LARGEST_EDGE = 0.5  # limit for edges in grey and log depth, so that no single edge dominates
_BORDER = 24  # widest border searched, in pixels from each side
_WHITE, _BLACK = 245, 10
_SLANT = (0.02, 0.2)  # (arithmetic - harmonic mean) / mean: slanted enough, no depth edge between
_NEAR_RULE = 0.35  # tolerance, as a fraction of the distance between the two means
_FEWEST_POINTS = 20


@dataclass(frozen=True)
class FrameStats:
    """One frame's measurements.

    `planes` counts slanted pieces that are straight in 1/depth, as real planes are, and pieces
    straight in the depth itself, as planes in disparity are. `trend` is the correlation of the
    row with log depth in the lower half: negative where the ground comes nearer. `alignment`
    contains the correlation of image edges with depth edges for each shift up to REACH, for the
    depth as stored, mirrored and upside down; None if the depth is too sparse.
    """

    name: str
    valid: float  # fraction of pixels with known depth
    median: float
    constant: bool
    border: tuple[int, int, int, int]  # width of a white or black border: top, bottom, left, right
    border_known: float  # fraction of its pixels with known depth
    picture_of_depth: bool
    thumb: Floats
    depth_thumb: Floats
    planes: tuple[int, int]
    trend: float | None
    alignment: Floats | None  # [3, 2 REACH + 1, 2 REACH + 1]
    image_edges: Floats
    depth_edges: Floats
    levels: Levels
    image_size: tuple[int, int]
    depth_size: tuple[int, int]
    camera_known: bool
    opinion: Opinion | None
    exif: int


def measure(sample: Sample, *, opinion: Opinion | None = None, exif: int = 1) -> FrameStats:
    """The measurements of one frame.

    Args:
        sample: its image and depth may differ in size.
        opinion: the opinion of the bundled model, if it was run.
        exif: EXIF orientation of the photo, 1 to 8; 1 is upright.
    """
    image = sample.image
    depth = np.where(np.isfinite(sample.depth), sample.depth, np.float32(0)).clip(0)
    known = depth[depth > 0]
    border = border_of(image)
    height = max(round(WIDTH * depth.shape[0] / depth.shape[1]), 2 * REACH)
    small = shrink(depth, (height, WIDTH))
    grey = _grey(image, (height, WIDTH))
    image_edges, depth_edges = _edge_maps(grey, small)
    return FrameStats(
        name=sample.name,
        valid=known.size / depth.size,
        median=float(np.median(known)) if known.size else 0.0,
        constant=known.size > 1 and float(np.ptp(known)) == 0,
        border=border,
        border_known=_known_in_border(depth, border),
        picture_of_depth=_shows_depth(image, grey, small),
        thumb=_grey(image, _THUMB),
        depth_thumb=shrink(depth, _THUMB),
        planes=_plane_votes(small),
        trend=_trend(small),
        alignment=_alignment(image_edges, depth_edges),
        image_edges=_fingerprint(image_edges),
        depth_edges=_fingerprint(depth_edges),
        levels=levels_of(depth),
        image_size=(image.shape[0], image.shape[1]),
        depth_size=(depth.shape[0], depth.shape[1]),
        camera_known=sample.camera is not None,
        opinion=opinion,
        exif=exif,
    )


def shrink(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The depth resized to (height, width); distances are picked, never averaged."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip(size, depth.shape, strict=True)
    )
    picked: NDArray[np.float32] = depth[rows[:, None], columns]
    return picked


def border_of(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Width of the white or black border of an image: top, bottom, left, right; 0 if none.

    JPEG noise is tolerated. Only a border on all four sides counts: a bright window or a dark
    ceiling that touches one side is part of the room.
    """
    turned = image.transpose(1, 0, 2)
    widths = [_uniform_lines(side) for side in (image, image[::-1], turned, turned[::-1])]
    if min(widths) < 2:
        return 0, 0, 0, 0
    top, bottom, left, right = widths
    return top, bottom, left, right


def _uniform_lines(side: NDArray[np.uint8]) -> int:
    lines = side[:_BORDER].astype(np.int16)
    means = lines.mean((1, 2))
    low, high = np.quantile(lines, (0.05, 0.95), axis=(1, 2))
    white = (means >= _WHITE) & (low >= _WHITE - 25)
    black = (means <= _BLACK) & (high <= _BLACK + 10)
    uniform = white if white[0] else black
    count = len(uniform) if uniform.all() else int(np.argmin(uniform))
    return 0 if count == len(side[:_BORDER]) else count  # an all-white image has no border


def _known_in_border(depth: Floats, border: tuple[int, int, int, int]) -> float:
    top, bottom, left, right = border
    inner = np.zeros(depth.shape, bool)
    inner[top : depth.shape[0] - bottom, left : depth.shape[1] - right] = True
    return float((depth[~inner] > 0).mean()) if min(border) else 0.0


def _grey(image: NDArray[np.uint8], size: tuple[int, int]) -> Floats:
    picture = Image.fromarray(image).convert("L")
    small = picture.resize((size[1], size[0]), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def _shows_depth(image: NDArray[np.uint8], grey: Floats, depth: Floats) -> bool:
    """Whether the "image" is the depth map drawn in grey."""
    probe = image[::7, ::7].astype(np.int16)
    known = depth > 0
    if np.ptp(probe, axis=-1).max(initial=0) > 4 or known.sum() < _FEWEST_POINTS:
        return False
    for values in (depth[known], 1 / depth[known]):
        if values.std() > 0 and grey[known].std() > 0:
            correlation = np.corrcoef(values, grey[known])[0, 1]
            if abs(correlation) > 0.98:
                return True
    return False


def _edge_maps(grey: Floats, depth: Floats) -> tuple[Floats, Floats]:
    """Edge strength of the image and of log depth, 0 near the rim and next to unknown depth."""
    known = depth > 0
    whole = known.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            whole &= np.roll(known, step, axis)
    rim = np.zeros(depth.shape, bool)
    rim[REACH:-REACH, REACH:-REACH] = True
    log_depth = np.log(np.where(known, depth, 1))
    image_edges = np.where(rim, _edges(grey), 0)
    return image_edges, np.where(rim & whole, _edges(log_depth), 0)


def _edges(values: Floats) -> Floats:
    down, across = np.gradient(values)
    strength: Floats = np.minimum(2 * np.hypot(down, across), _LARGEST_EDGE)
    return strength


def _alignment(image_edges: Floats, depth_edges: Floats) -> Floats | None:
    if np.count_nonzero(depth_edges) < depth_edges.size // 10:
        return None
    variants = (depth_edges, depth_edges[:, ::-1], depth_edges[::-1])
    return np.stack([_correlation(image_edges, edges) for edges in variants])


def _correlation(first: Floats, second: Floats) -> Floats:
    """Normalised cross-correlation for each shift of `first` against `second` up to REACH."""
    first, second = first - first.mean(), second - second.mean()
    norm = np.sqrt((first**2).sum() * (second**2).sum()) + 1e-9
    spectrum = np.fft.rfft2(first) * np.conj(np.fft.rfft2(second))
    surface = np.fft.irfft2(spectrum, s=first.shape) / norm
    centred: Floats = np.roll(surface, (REACH, REACH), (0, 1))[: 2 * REACH + 1, : 2 * REACH + 1]
    return centred


def _fingerprint(edges: Floats) -> Floats:
    picture = Image.fromarray(edges.astype(np.float32))
    small = picture.resize((_FINGERPRINT[1], _FINGERPRINT[0]), Image.Resampling.BOX)
    values = np.asarray(small).ravel()
    values = values - values.mean()
    return np.asarray(values / (np.linalg.norm(values) + 1e-9), np.float32)


def _plane_votes(depth: Floats) -> tuple[int, int]:
    """How many slanted triples of pixels are straight in 1/depth, and how many in depth.

    On a plane 1/depth is linear in the image, so the middle of three equally spaced pixels has
    the harmonic mean of the outer two; in a disparity map it has the arithmetic mean.
    """
    right = wrong = 0
    for values in (depth, depth.T):
        step = max(values.shape[1] // 16, 2)
        first, middle, last = values[:, : -2 * step], values[:, step:-step], values[:, 2 * step :]
        known = (first > 0) & (middle > 0) & (last > 0)
        a, b, c = (v[known].astype(np.float64) for v in (first, middle, last))
        arithmetic, harmonic = (a + c) / 2, 2 * a * c / (a + c)
        slant = (arithmetic - harmonic) / arithmetic
        chosen = (slant > _SLANT[0]) & (slant < _SLANT[1])
        place = (arithmetic - b)[chosen] / (arithmetic - harmonic)[chosen]
        right += int((np.abs(place - 1) < _NEAR_RULE).sum())
        wrong += int((np.abs(place) < _NEAR_RULE).sum())
    return right, wrong


def _trend(depth: Floats) -> float | None:
    lower = depth[depth.shape[0] // 2 :]
    rows, columns = np.nonzero(lower)
    values = np.log(lower[rows, columns])
    if len(rows) < _FEWEST_POINTS or values.std() == 0 or rows.std() == 0:
        return None
    return float(np.corrcoef(rows, values)[0, 1])
