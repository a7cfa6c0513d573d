"""The inner maps that `glpn explain` draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from glpn import GLPNConfig, GLPNForDepthEstimation
from glpn.network.inspection import inspect


def model(**fields: Any) -> GLPNForDepthEstimation:
    torch.manual_seed(0)
    config = GLPNConfig(hidden_sizes=(16, 32, 80, 128), decoder_hidden_size=16, **fields)
    return GLPNForDepthEstimation(config).eval()


def pixels() -> Any:
    return np.random.default_rng(0).random((3, 64, 96), dtype=np.float32)


def test_the_gates_are_those_of_each_fusion_and_the_depth_is_the_models() -> None:
    network = model()
    found = inspect(network, pixels())
    assert [x.shape[1:] for x in found.maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert [x.shape for x in found.gates] == [(2, 4, 6), (2, 8, 12), (2, 16, 24)]
    with torch.inference_mode():
        batch = torch.from_numpy(pixels())[None]
        expected = network(batch).predicted_depth[0].numpy()
        maps, _ = network.glpn.encoder(batch)
        fusion = network.decoder.stages[1].fusion
        deepest = network.decoder.stages[0](maps[3], None)
        local = network.decoder.stages[1].project(maps[2])
        gate = torch.tensor(found.gates[0])
        fused = local * gate[:1] + deepest * gate[1:]
        assert torch.allclose(fusion(local, deepest), fused, atol=1e-5)
    assert np.array_equal(found.metres, expected)


def test_inspecting_leaves_no_hook_behind() -> None:
    network = model()
    inspect(network, pixels())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_plain_sum_has_no_gates() -> None:
    assert inspect(model(fusion="sum"), pixels()).gates == ()
