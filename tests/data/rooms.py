"""Small synthetic rooms with exact depth: a box to stand in, boxes standing about."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from glpn.data.sample import Sample

SIZE = (120, 160)
FOCAL = 140.0


class Frames:
    """Samples in memory, as a dataset."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples = list(samples)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sample.name for sample in self.samples)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def room(seed: int) -> Sample:
    """One frame: every surface in its own colour, depth along the optical axis."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    rows, columns = np.mgrid[:height, :width]
    yaw, pitch = rng.uniform(-0.6, 0.6), rng.uniform(0.0, 0.25)
    x, y = (columns - width / 2) / FOCAL, (rows - height / 2) / FOCAL
    y, z = y * np.cos(pitch) + np.sin(pitch), np.cos(pitch) - y * np.sin(pitch)
    rays = np.stack([x * np.cos(yaw) + z * np.sin(yaw), y, z * np.cos(yaw) - x * np.sin(yaw)], -1)
    half = np.array([rng.uniform(2, 4), 1.3, rng.uniform(2.5, 5)])
    depth, surface = slabs(rays, -half, half, inside=True)
    for number in range(1, 6):
        extent = rng.uniform(0.2, 0.6, 3)
        centre = np.array([rng.uniform(-1.5, 1.5), 1.3 - extent[1], rng.uniform(1.5, 2.4)])
        near, face = slabs(rays, centre - extent, centre + extent, inside=False)
        closer = near < depth
        depth = np.where(closer, near, depth)
        surface = np.where(closer, face + 6 * number, surface)
    palette = rng.integers(30, 226, (36, 3))
    image = palette[surface] + rng.normal(0, 2, (height, width, 3))
    return Sample(f"room{seed:03d}", image.clip(0, 255).astype(np.uint8), depth.astype(np.float32))


def slabs(
    rays: np.ndarray, low: np.ndarray, high: np.ndarray, *, inside: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Distance along each ray to an axis-aligned box, and which of its faces is met."""
    with np.errstate(divide="ignore"):
        first, second = low / rays, high / rays
    near, far = np.minimum(first, second), np.maximum(first, second)
    if inside:
        distance, axis = far.min(-1), far.argmin(-1)
    else:
        distance, axis = near.max(-1), near.argmax(-1)
        distance = np.where((distance > 0) & (distance < far.min(-1)), distance, np.inf)
    side = np.take_along_axis(rays, axis[..., None], -1)[..., 0] > 0
    return distance, 2 * axis + side


def rooms(count: int, first: int = 0) -> Frames:
    return Frames(room(seed) for seed in range(first, first + count))


def show(samples: Frames, path: Path) -> None:
    """For a look at them: `python -c "from tests.data.rooms import *; show(rooms(8), 'a.png')"`."""
    from glpn.data.contact_sheet import contact_sheet

    Image.fromarray(contact_sheet(samples.samples)).save(path)
