"""Procedural scenes with exact metres: rooms and streets from a seed, rendered on any device.

`render(seeds)` gives pictures with depth, normals, instances and cameras; `write_dataset` a folder
that `glpn.data` reads. One seed is one scene, whatever the batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from glpn.errors import UsageError
from glpn.synthetic.indoor import sample_indoor
from glpn.synthetic.render import Rendering, render_scenes
from glpn.synthetic.scene import Scene

if TYPE_CHECKING:
    import torch

SAMPLERS = {"indoor": sample_indoor}


def sample_scene(seed: int, kind: str = "indoor") -> Scene:
    """The scene of a seed.

    Raises:
        UsageError: the kind is unknown or the seed negative.
    """
    if kind not in SAMPLERS:
        raise UsageError(f"kind: expected one of {', '.join(SAMPLERS)}; got {kind!r}")
    if seed < 0:
        raise UsageError(f"seed: expected 0 or more, got {seed}")
    return SAMPLERS[kind](seed)


def render(
    seeds: Iterable[int],
    size: tuple[int, int] = (240, 320),
    *,
    device: str | torch.device = "cpu",
    kind: str = "indoor",
) -> Rendering:
    """Pictures of the scenes of some seeds at (height, width).

    Raises:
        UsageError: no seed, a negative one, no pixel, or an unknown kind.
    """
    return render_scenes([sample_scene(seed, kind) for seed in seeds], size, device)
