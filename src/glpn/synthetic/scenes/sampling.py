"""Samples a scene from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from glpn.errors import UsageError, require_choice
from glpn.synthetic.furniture_models.catalogue import open_library
from glpn.synthetic.scenes.indoor import Cameras, sample_indoor
from glpn.synthetic.scenes.scene import Scene
from glpn.synthetic.scenes.street import sample_street

SAMPLERS: dict[str, Callable[..., list[Scene]]] = {"indoor": sample_indoor, "street": sample_street}


def sample_scene(
    seed: int,
    kind: str = "indoor",
    *,
    views: int = 1,
    furniture: str | Path | None = None,
    cameras: str = "level",
) -> Scene:
    """The scene of a seed, always the same; arguments and exceptions as in `sample_scenes`."""
    return sample_scenes([seed], kind, views=views, furniture=furniture, cameras=cameras)[0]


def sample_scenes(
    seeds: Iterable[int],
    kind: str = "indoor",
    *,
    views: int = 1,
    furniture: str | Path | None = None,
    cameras: str = "level",
) -> list[Scene]:
    """The scenes of some seeds: seed s is view s mod `views` of place s div `views`.

    Views of one place share everything except the camera, so a place is sampled and lit once.
    Rooms take their furniture from the folder `furniture`, if given, and `cameras` "level" or
    "handheld".

    Raises:
        UsageError: the kind or the cameras are unknown, a seed is negative, `views` is below 1, or
            a street gets furniture or other cameras.
        MissingInput, DataError: the folder of furniture is missing or contains none.
    """
    options = _options(kind, furniture, cameras)
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
        for number, scene in zip(some, SAMPLERS[kind](place, some, **options), strict=True)
    }
    return [found[seed] for seed in wanted]


def _options(kind: str, furniture: str | Path | None, cameras: str) -> dict[str, Any]:
    """The arguments of a kind's sampler."""
    require_choice("kind", kind, SAMPLERS)
    require_choice("cameras", cameras, tuple(Cameras))
    if kind != "indoor":
        if furniture is not None or cameras != Cameras.level:
            raise UsageError(f"kind {kind!r}: furniture and cameras are options of 'indoor'")
        return {}
    library = None if furniture is None else open_library(furniture)
    return {"library": library, "cameras": Cameras(cameras)}
