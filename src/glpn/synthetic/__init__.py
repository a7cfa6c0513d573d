"""Procedural scenes with exact metres: rooms and streets from a seed, rendered on any device.

`render(seeds)` returns images with depth, normals, instances and cameras. `write_dataset` fills a
folder that `glpn.data` reads. `render_scenes` renders your own scenes. A seed gives the same scene
in every batch. Glass is opaque in its plane, and there are no mirrors.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from glpn.synthetic.dataset import write_dataset
from glpn.synthetic.rendering.renderer import Rendering, render_scenes
from glpn.synthetic.scenes.sampling import SAMPLERS, sample_scene, sample_scenes

if TYPE_CHECKING:
    import torch

__all__ = [
    "SAMPLERS",
    "Rendering",
    "render",
    "render_scenes",
    "sample_scene",
    "sample_scenes",
    "write_dataset",
]


def render(
    seeds: Iterable[int],
    size: tuple[int, int] = (240, 320),
    *,
    device: str | torch.device = "cpu",
    kind: str = "indoor",
    views: int = 1,
    furniture: str | Path | None = None,
    cameras: str = "level",
) -> Rendering:
    """Render the scenes of some seeds at (height, width).

    With `views` above 1, that many consecutive seeds show one place from different cameras.
    Neighbours in a batch then share its sampling and its shadows.

    `furniture` is a folder of meshes for rooms, and `cameras` "level" or "handheld".

    Raises:
        UsageError: no seed, a negative one, no pixel, no view, an unknown kind or camera.
        MissingInput, DataError: the folder of furniture is missing or contains none.
        MissingDependency: furniture needs the extra "synthetic".
    """
    scenes = sample_scenes(seeds, kind, views=views, furniture=furniture, cameras=cameras)
    return render_scenes(scenes, size, device)
