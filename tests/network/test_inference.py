"""The inference form gives the model's metres, and leaves the model alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from glpn import GLPNConfig, GLPNForDepthEstimation, native
from glpn.errors import UsageError
from glpn.network import inference_layers
from glpn.network.inference import fast, supports
from tests.networks import photograph, randomise

BFLOAT16 = 2**-8  # the distance of its numbers


def make_model(preset: str = "b0", **fields: Any) -> GLPNForDepthEstimation:
    model = GLPNForDepthEstimation(GLPNConfig.preset(preset, **fields)).eval()
    randomise(model)
    return model.requires_grad_(False)


def largest_deviation(form: Any, model: GLPNForDepthEstimation, pixels: torch.Tensor) -> float:
    with torch.inference_mode():
        expected = model(pixels).predicted_depth
        depth = form(pixels)
    assert depth.dtype == torch.float32
    assert depth.shape == expected.shape
    return ((depth - expected).abs() / expected).max().item()


@pytest.fixture(scope="module")
def model() -> GLPNForDepthEstimation:
    return make_model()


@pytest.mark.parametrize(
    "shape", [(1, 64, 96), (2, 33, 47), (3, 32, 32), (1, 1, 1), (1, 32, 160), (1, 97, 64)]
)
def test_any_size_and_batch_gives_the_model_s_metres(
    model: GLPNForDepthEstimation, shape: tuple[int, int, int]
) -> None:
    batch, height, width = shape
    pixels = photograph(max(height, 6), max(width, 6), batch=batch)[..., :height, :width]
    assert largest_deviation(fast(model), model, pixels) < 1e-4


@pytest.mark.slow
def test_the_published_size_of_network_gives_the_model_s_metres() -> None:
    model = make_model("b4")
    assert largest_deviation(fast(model), model, photograph(64, 96)) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_act": "relu"},
        {"hidden_act": "gelu_new"},
        {"hidden_act": "silu"},
        {"fusion": "sum"},
        {"decoder_hidden_size": 32},
        {"decoder_hidden_size": 20},  # the compiled head cannot take it
        {"layer_norm_convention": "authors"},
        {"max_depth": 80},
        {"head_in_index": 3},
        {"num_channels": 4},
    ],
)
def test_every_configuration_gives_the_model_s_metres(fields: dict[str, Any]) -> None:
    model = make_model(**fields)
    pixels = torch.rand((1, model.config.num_channels, 64, 96), generator=torch.manual_seed(0))
    assert largest_deviation(fast(model), model, pixels) < 1e-4


def test_without_fused_operators_and_kernel_the_metres_are_the_same(
    model: GLPNForDepthEstimation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glpn.network.inference.can_fuse", lambda dtype: False)
    monkeypatch.setattr(native, "available", lambda: False)
    assert largest_deviation(fast(model), model, photograph(64, 96)) < 1e-4


@pytest.mark.parametrize("fused", [True, False])
def test_bfloat16_stays_near(
    model: GLPNForDepthEstimation, monkeypatch: pytest.MonkeyPatch, fused: bool
) -> None:
    if not fused:
        monkeypatch.setattr("glpn.network.inference.can_fuse", lambda dtype: False)
    form = fast(model, dtype=torch.bfloat16)
    deviation = largest_deviation(form, model, photograph(64, 96))
    assert 1e-5 < deviation < 8 * BFLOAT16  # it is bfloat16, and its errors do not pile up


def test_bfloat16_attention_is_the_same_with_few_scores_and_with_many(
    model: GLPNForDepthEstimation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = photograph(64, 96)
    few = fast(model, dtype=torch.bfloat16)(pixels)
    monkeypatch.setattr("glpn.network.inference._MAX_SCORES", 0)
    many = fast(model, dtype=torch.bfloat16)(pixels)
    assert not torch.equal(few, many)  # both ways ran
    torch.testing.assert_close(few, many, rtol=8 * BFLOAT16, atol=0)


def test_the_model_is_left_as_it_was(model: GLPNForDepthEstimation) -> None:
    before = copy.deepcopy(model.state_dict())
    fast(model, dtype=torch.bfloat16)(photograph(64, 96))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_later_training_of_the_model_does_not_change_the_form() -> None:
    model = make_model()
    form, pixels = fast(model), photograph(64, 96)
    before = form(pixels)
    randomise(model, seed=5)
    torch.testing.assert_close(form(pixels), before, rtol=0, atol=0)


def test_a_head_on_an_inner_map_has_no_inference_form() -> None:
    model = make_model(head_in_index=1)
    assert not supports(model.config)
    with pytest.raises(UsageError, match="head_in_index 1"):
        fast(model)


def test_the_full_size_map_is_never_made(model: GLPNForDepthEstimation) -> None:
    """No operator of the fast path sees more elements than the feed-forward's hidden map."""
    if not native.available():
        pytest.skip("glpn was built without a compiler")
    assert inference_layers.can_fuse(torch.float32)
    form, pixels = fast(model), photograph(96, 128)
    sizes = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                sizes.append(result.numel())
            return result

    with torch.inference_mode(), Watch():
        form(pixels)
    hidden = 96 * 128 // 16 * 4 * model.config.hidden_sizes[0]  # [H/4, W/4, 4·C]
    assert len(sizes) > 100
    assert max(sizes) == hidden < 96 * 128 * model.config.decoder_hidden_size / 4
