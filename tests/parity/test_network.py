"""Every part of the network agrees with the reference implementation on random weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from glpn.network.config import PRESETS
from tests.networks import photograph, twins

EVERYTHING = {"output_attentions": True, "output_hidden_states": True}


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_all_outputs_agree_in_float32(preset: Any) -> None:
    reference, ours = twins(preset)
    pixels, labels = photograph(64, 96, batch=2), 1 + 8 * photograph(64, 96, batch=2)[:, 0]
    with torch.no_grad():
        theirs = reference(pixels, labels=labels, **EVERYTHING)
        mine = ours(pixels, labels=labels, **EVERYTHING)
        lean = ours(pixels).predicted_depth
    assert theirs.predicted_depth.std() > 0.05, "the weights are degenerate"
    assert (mine.predicted_depth - theirs.predicted_depth).abs().max() <= 1e-5 * 10
    assert (lean - theirs.predicted_depth).abs().max() <= 1e-5 * 10
    torch.testing.assert_close(mine.loss, theirs.loss, rtol=1e-5, atol=1e-6)
    for a, b in zip(mine.hidden_states, theirs.hidden_states, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    for a, b in zip(mine.attentions, theirs.attentions, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_depth_agrees_in_float64(preset: Any) -> None:
    reference, ours = twins(preset, torch.float64)
    pixels = photograph(64, 96, dtype=torch.float64)
    with torch.no_grad():
        difference = ours(pixels).predicted_depth - reference(pixels).predicted_depth
    assert difference.abs().max() <= 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["b0", "b4"])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_depth_agrees_at_the_published_size(preset: str, dtype: Any, atol: float) -> None:
    reference, ours = twins(preset, dtype)
    pixels = photograph(480, 640, dtype=dtype)
    with torch.no_grad():
        difference = ours(pixels).predicted_depth - reference(pixels).predicted_depth
    assert difference.abs().max() <= atol


@pytest.mark.slow
def test_gradients_agree() -> None:
    reference, ours = twins("b0", torch.float64, drop_path_rate=0.0)
    pixels = photograph(64, 96, dtype=torch.float64).requires_grad_()
    twin_pixels = pixels.detach().clone().requires_grad_()
    labels = 1 + 8 * photograph(64, 96, dtype=torch.float64, seed=3)[:, 0]
    reference(pixels, labels=labels).loss.backward()
    ours(twin_pixels, labels=labels).loss.backward()
    torch.testing.assert_close(twin_pixels.grad, pixels.grad, rtol=1e-8, atol=1e-12)
    from glpn.weights import to_memory_names

    theirs = to_memory_names({k: p.grad for k, p in reference.named_parameters()}, prefix="")
    for name, parameter in ours.named_parameters():
        scale = theirs[name].abs().max()
        assert (parameter.grad - theirs[name]).abs().max() <= 1e-8 * max(1.0, scale), name


def test_training_mode_agrees_without_randomness() -> None:
    reference, ours = twins("b0", torch.float64, drop_path_rate=0.0)
    reference.train()
    ours.train()
    pixels = photograph(64, 96, batch=2, dtype=torch.float64)
    a, b = reference(pixels).predicted_depth, ours(pixels).predicted_depth
    assert (a - b).abs().max() <= 1e-10  # BatchNorm on the batch's own statistics


@pytest.mark.parametrize("index", [0, 1, 2, 3, -1])
def test_head_in_index_agrees(index: int) -> None:
    reference, ours = twins("b0", torch.float64, head_in_index=index)
    pixels = photograph(64, 96, dtype=torch.float64)
    with torch.no_grad():
        a, b = reference(pixels).predicted_depth, ours(pixels).predicted_depth
    assert a.shape == b.shape
    assert (a - b).abs().max() <= 1e-10


def test_tuples_come_in_the_reference_order() -> None:
    reference, ours = twins("b0")
    pixels, labels = photograph(32, 64), torch.ones(1, 32, 64)
    for options in ({}, {"labels": labels}, EVERYTHING, {"labels": labels, **EVERYTHING}):
        with torch.no_grad():
            a = reference(pixels, **options, return_dict=False)
            b = ours(pixels, **options, return_dict=False)
        assert isinstance(b, tuple)
        shapes = [_shape(value) for value in a]
        assert [_shape(value) for value in b] == shapes


def _shape(value: Any) -> Any:
    if isinstance(value, tuple):
        return [tuple(item.shape) for item in value]
    return tuple(value.shape)
