"""Sampling: from a seed to a scene of a kind."""

from __future__ import annotations

from glpn.errors import UsageError
from glpn.synthetic.indoor import sample_indoor
from glpn.synthetic.scene import Scene
from glpn.synthetic.street import sample_street

SAMPLERS = {"indoor": sample_indoor, "street": sample_street}


def sample_scene(seed: int, kind: str = "indoor") -> Scene:
    """The scene of a seed: always the same.

    Raises:
        UsageError: the kind is unknown or the seed negative.
    """
    if kind not in SAMPLERS:
        raise UsageError(f"kind: expected one of {', '.join(SAMPLERS)}; got {kind!r}")
    if seed < 0:
        raise UsageError(f"seed: expected 0 or more, got {seed}")
    return SAMPLERS[kind](seed)
