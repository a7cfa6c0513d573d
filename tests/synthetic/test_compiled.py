"""The compiled kernels against the torch operations that run where there is none."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from glpn.synthetic import sample_scenes
from glpn.synthetic.rendering import compiled
from glpn.synthetic.rendering.batch import gather
from glpn.synthetic.rendering.cast import (
    NO_HIT,
    Solids,
    cast,
    cast_with_torch,
    nearest_of,
    nearest_with_torch,
    to_local,
)
from glpn.synthetic.rendering.renderer import render_scenes
from glpn.synthetic.rendering.surface import (
    Pixels,
    Surface,
    surface,
    surface_table,
    surface_with_torch,
)
from glpn.synthetic.scenes.textures import KINDS

CPU = torch.device("cpu")
SIZE = (90, 120)  # rows do not fill whole tiles

pytestmark = pytest.mark.skipif(
    not compiled.available(CPU), reason="glpn was built without a compiler"
)


@pytest.fixture(scope="module", params=["indoor", "street"])
def world(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    """Solids, their rays and which are wanted, of a few scenes in one batch."""
    worlds, shots, _ = gather(sample_scenes(range(6), request.param), SIZE, CPU)
    solids = Solids(*(field[shots.world] for field in worlds.solids))
    return solids, shots.eyes, worlds.present[shots.world]


def check_same(found: Any, expected: Any) -> None:
    """Faces in one plane may change places by a rounding error; nothing else may."""
    assert torch.equal(found.solid == NO_HIT, expected.solid == NO_HIT)
    torch.testing.assert_close(found.depth, expected.depth, rtol=2e-5, atol=0)
    assert (found.solid != expected.solid).float().mean() < 1e-3


def test_every_ray_meets_what_it_meets_in_torch(world: tuple[Any, Any, Any]) -> None:
    solids, eyes, wanted = world
    expected = cast_with_torch(solids, to_local(solids, eyes), eyes, wanted=wanted)
    check_same(cast(solids, eyes, wanted=wanted), expected)


def test_what_is_not_wanted_is_not_seen(world: tuple[Any, Any, Any]) -> None:
    solids, eyes, wanted = world
    some = wanted & (torch.arange(wanted.shape[1]) % 3 == 0)
    found = cast(solids, eyes, wanted=some)
    hit = found.solid != NO_HIT
    assert hit.any() and (found.solid[hit] % 3 == 0).all()
    assert (cast(solids, eyes, wanted=torch.zeros_like(wanted)).solid == NO_HIT).all()


def test_candidates_are_told_apart_as_in_torch(world: tuple[Any, Any, Any]) -> None:
    solids, eyes, wanted = world
    local, seen = to_local(solids, eyes), cast(solids, eyes, wanted=wanted).solid
    around = [seen.roll(shift, 2).flatten(1) for shift in (0, 1, 2, 5)]
    candidates, at = torch.stack(around), (eyes.x.flatten(1), eyes.y.flatten(1))
    expected = nearest_with_torch(solids, local, candidates, at=at)
    check_same(nearest_of(solids, local, candidates, at=at), expected)


def test_threads_and_clones_agree(
    world: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    solids, eyes, wanted = world
    one = cast(solids, eyes, wanted=wanted)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    three = cast(solids, eyes, wanted=wanted)
    assert torch.equal(one.depth, three.depth) and torch.equal(one.solid, three.solid)
    for clone in range(compiled.clones()):
        monkeypatch.setattr(compiled, "clones", lambda clone=clone: clone + 1)
        check_same(cast(solids, eyes, wanted=wanted), one)


def test_surfaces_look_as_in_torch(world: tuple[Any, Any, Any]) -> None:
    solids, eyes, wanted = world
    hits = cast(solids, eyes, wanted=wanted)
    generator = torch.Generator().manual_seed(0)
    look = torch.rand((*wanted.shape, 19), generator=generator)
    look[..., 0] *= 0.02  # the bevel; then the texture, its scale (some fit), whether upright
    look[..., 4] = (sum(KINDS.values()) * look[..., 4]).floor()
    look[..., 5] = (2 * look[..., 5] - 0.5).clamp_min(0)
    look[..., 18] = look[..., 18].round()
    table = surface_table(solids, to_local(solids, eyes), look)
    there = hits.solid != NO_HIT
    first = torch.arange(len(wanted))[:, None, None] * wanted.shape[1]
    depth = hits.depth[there]
    fields = ((hits.solid + first)[there], eyes.x[there], eyes.y[there], depth, depth / 200)
    found = surface(table, Pixels(*fields))
    expected = surface_with_torch(table, Pixels(*fields))
    for name, one, other in zip(Surface._fields, found, expected, strict=True):
        same = torch.isclose(one.float(), other.float(), rtol=1e-3, atol=2e-3)
        assert same.float().mean() > 0.999, name  # an edge, or a mip level, by a rounding error


@pytest.mark.parametrize("kind", ["indoor", "street"])
def test_pictures_are_the_same_without_the_kernel(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = sample_scenes(range(6), kind)
    fast = render_scenes(scenes, SIZE)
    monkeypatch.setattr(compiled, "available", lambda device: False)
    plain = render_scenes(scenes, SIZE)
    torch.testing.assert_close(fast.depth, plain.depth, rtol=2e-5, atol=0)
    difference = (fast.image.int() - plain.image.int()).abs()
    assert (difference <= 3).float().mean() > 0.98  # as between a CPU and a GPU
