"""Sampling: seed → scene."""

from __future__ import annotations

from collections.abc import Iterable

from glpn.errors import UsageError
from glpn.synthetic.scenes.indoor import sample_indoor
from glpn.synthetic.scenes.scene import Scene
from glpn.synthetic.scenes.street import sample_street

SAMPLERS = {"indoor": sample_indoor, "street": sample_street}


def sample_scene(seed: int, kind: str = "indoor", *, views: int = 1) -> Scene:
    """The scene of a seed, which is always the same; errors as `sample_scenes`."""
    return sample_scenes([seed], kind, views=views)[0]


def sample_scenes(seeds: Iterable[int], kind: str = "indoor", *, views: int = 1) -> list[Scene]:
    """The scenes of some seeds: seed s is view s mod `views` of place s div `views`.

    Views of one place share everything except the camera, so a place is sampled and lit once.

    Raises:
        UsageError: the kind is unknown, a seed negative, or `views` below 1.
    """
    if kind not in SAMPLERS:
        raise UsageError(f"kind: expected one of {', '.join(SAMPLERS)}; got {kind!r}")
    if views < 1:
        raise UsageError(f"views: expected 1 or more, got {views}")
    wanted = list(seeds)
    numbers: dict[int, list[int]] = {}
    for seed in wanted:
        if seed < 0:
            raise UsageError(f"seed: expected 0 or more, got {seed}")
        numbers.setdefault(seed // views, []).append(seed % views)
    found = {
        place * views + number: scene
        for place, some in numbers.items()
        for number, scene in zip(some, SAMPLERS[kind](place, some), strict=True)
    }
    return [found[seed] for seed in wanted]
