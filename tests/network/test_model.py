"""Promises of the network that do not need the reference implementation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNModel
from glpn.errors import ConfigError, InvalidImage, UsageError
from glpn.network.encoder import drop_path
from glpn.weights import to_disk_names
from glpn.weights.shapes import expected_shapes, inferred_fields
from tests.networks import photograph, randomise

TINY = {"hidden_sizes": (8, 16, 40, 64), "depths": (1, 1, 1, 1), "decoder_hidden_size": 16}


def tiny(**fields: Any) -> GLPNForDepthEstimation:
    torch.manual_seed(0)
    model = GLPNForDepthEstimation(GLPNConfig(**{**TINY, **fields}))
    randomise(model)
    return model.eval()


def test_parameter_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        small = GLPNForDepthEstimation(GLPNConfig())
        large = GLPNForDepthEstimation(GLPNConfig.preset("b4"))
    assert small.num_parameters() == 3_664_839
    assert large.num_parameters() == 61_220_903
    assert large.glpn.num_parameters() == 60_842_688


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (31, 31), (33, 33), (64, 96), (47, 130)])
def test_any_size_comes_back_at_its_own_size(size: tuple[int, int]) -> None:
    depth = tiny()(photograph(*size)).predicted_depth
    assert depth.shape == (1, *size)
    assert torch.isfinite(depth).all()
    assert (depth > 0).all()
    assert (depth < 10).all()


def test_batch_equals_single() -> None:
    model, pixels = tiny(), photograph(64, 96, batch=3)
    with torch.no_grad():
        together = model(pixels).predicted_depth
        alone = torch.cat([model(image[None]).predicted_depth for image in pixels])
    assert (together - alone).abs().max() <= 1e-5


def test_asking_for_attentions_does_not_change_the_depth() -> None:
    model, pixels = tiny(), photograph(64, 96)
    with torch.no_grad():
        output = model(pixels, output_attentions=True)
        assert torch.allclose(output.predicted_depth, model(pixels).predicted_depth, atol=1e-5)
    assert len(output.attentions) == sum(model.config.depths)
    heads = [weights.shape[1] for weights in output.attentions]
    assert heads == list(model.config.num_attention_heads)
    for weights in output.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))


def test_max_depth_scales_the_prediction() -> None:
    near, far = tiny(max_depth=10), tiny(max_depth=80.0)
    pixels = photograph(32, 32)
    torch.testing.assert_close(
        far(pixels).predicted_depth, 8 * near(pixels).predicted_depth, rtol=1e-6, atol=0
    )


def test_fusion_by_sum_has_no_fusion_weights_and_adds_the_maps(tmp_path: Path) -> None:
    selective, plain = tiny(), tiny(fusion="sum")
    gone = selective.state_dict().keys() - plain.state_dict().keys()
    assert gone == {name for name in selective.state_dict() if ".fusion." in name}
    local, context = torch.rand(2, 1, 16, 4, 4)
    stage = plain.decoder.stages[1]
    assert torch.equal(stage.fusion(local, context), local + context)
    plain.save_pretrained(tmp_path)
    again = GLPNForDepthEstimation.from_pretrained(tmp_path)
    pixels = photograph(64, 96)
    assert torch.equal(again(pixels).predicted_depth, plain(pixels).predicted_depth)
    assert inferred_fields(_disk_shapes(plain), source="plain")["fusion"] == "sum"
    with pytest.raises(ConfigError, match="fusion"):
        GLPNConfig(fusion="product")


def _disk_shapes(model: GLPNForDepthEstimation) -> dict[str, tuple[int, ...]]:
    disk = to_disk_names(model.state_dict(), prefix="")
    shapes = {name: tuple(value.shape) for name, value in disk.items()}
    assert shapes == expected_shapes(model.config)
    return shapes


def test_epsilon_conventions_differ_and_are_what_they_say() -> None:
    theirs, authors = tiny(), tiny(layer_norm_convention="authors")
    stage = authors.glpn.encoder.stages[0]
    assert (stage.norm.eps, stage.embed.norm.eps) == (1e-6, 1e-5)
    assert stage.blocks[0].norm1.eps == 1e-6
    assert stage.blocks[0].attention.reduce_norm.eps == 1e-5
    stage = theirs.glpn.encoder.stages[0]
    assert {stage.norm.eps, stage.embed.norm.eps, stage.blocks[0].norm2.eps} == {1e-5}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_close(dtype: Any) -> None:
    model, pixels = tiny(), photograph(64, 96)
    with torch.no_grad():
        exact = model(pixels).predicted_depth
        half = model.to(dtype)(pixels.to(dtype)).predicted_depth
    assert half.dtype == dtype
    assert (half.float() - exact).abs().mean() < 0.1


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    labels, pixels = torch.full((2, 32, 64), 3.0), photograph(32, 64, batch=2)
    gradients = []
    for enabled in (False, True):
        model = tiny(drop_path_rate=0.0).train()
        if enabled:
            model.gradient_checkpointing_enable()
        model(pixels, labels=labels).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_drop_path_keeps_the_mean_and_drops_whole_samples() -> None:
    torch.manual_seed(0)
    x = torch.ones(20_000, 2, 2, 1)
    y = drop_path(x, 0.3, training=True)
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert set(y.flatten(1).std(1, unbiased=False).tolist()) == {0.0}
    assert drop_path(x, 0.3, training=False) is x


def test_drop_path_rises_linearly_over_all_blocks() -> None:
    model = GLPNModel(GLPNConfig(drop_path_rate=0.7))
    rates = [block.drop_path_rate for stage in model.encoder.stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * i for i in range(8)])


def test_dropout_acts_in_training_only() -> None:
    model = tiny(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5, drop_path_rate=0.0)
    pixels = photograph(32, 32)
    with torch.no_grad():
        assert torch.equal(model(pixels).predicted_depth, model(pixels).predicted_depth)
        model.train()
        assert not torch.equal(model(pixels).predicted_depth, model(pixels).predicted_depth)


def test_scratch_initialisation_follows_the_reference_rules() -> None:
    torch.manual_seed(0)
    model = GLPNForDepthEstimation(GLPNConfig.preset("b1"))
    block = model.glpn.encoder.stages[2].blocks[0]
    assert block.ffn.expand.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.ffn.expand.bias.abs().max() == 0
    depthwise = block.ffn.depthwise.weight  # fan-out of a depthwise 3×3 is 9
    assert depthwise.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)
    patch = model.glpn.encoder.stages[0].embed.proj.weight  # 64 outputs of 7×7
    assert patch.std().item() == pytest.approx((2 / (49 * 64)) ** 0.5, rel=0.05)
    assert torch.equal(block.norm1.weight, torch.ones_like(block.norm1.weight))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(InvalidImage, match=r"\(3, 32, 32\)"):
        tiny()(torch.rand(3, 32, 32))
    with pytest.raises(InvalidImage, match=r"\(1, 1, 32, 32\)"):
        tiny()(torch.rand(1, 1, 32, 32))
    with pytest.raises(UsageError, match=r"labels.*\(1, 32, 32\).*\(1, 16, 16\)"):
        tiny()(torch.rand(1, 3, 32, 32), labels=torch.ones(1, 16, 16))


def test_records_read_by_name_key_and_position() -> None:
    output = tiny()(photograph(32, 32), labels=torch.ones(1, 32, 32), output_hidden_states=True)
    assert [*output.keys()] == ["loss", "predicted_depth", "hidden_states"]
    assert output["predicted_depth"] is output.predicted_depth is output[1]
    assert list(output) == list(output.keys())
    assert "attentions" not in output
    with pytest.raises(KeyError):
        output["attentions"]


@pytest.mark.slow
def test_export_has_dynamic_sizes_and_no_graph_break() -> None:
    model, pixels = tiny(), photograph(64, 96, batch=2)
    auto = torch.export.Dim.AUTO
    program = torch.export.export(
        model, (pixels,), dynamic_shapes={"pixel_values": {0: auto, 2: auto, 3: auto}}
    )
    other = photograph(96, 160, batch=3, seed=5)
    exported = program.module()(other).predicted_depth
    torch.testing.assert_close(exported, model(other).predicted_depth, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_compile_makes_one_graph() -> None:
    explanation = torch._dynamo.explain(tiny())(photograph(64, 96))
    assert explanation.graph_break_count == 0, explanation.break_reasons


@pytest.mark.slow
def test_attention_memory_grows_with_the_pixels_not_their_square() -> None:
    """Full scores at 768×768 would take 36864 × 576 × 4 bytes × 8 images = 650 MB."""
    code = """
import resource, torch
from glpn import GLPNConfig
from glpn.network.encoder import Attention
torch.set_num_threads(1)
config = GLPNConfig()
attention = Attention(config, config.stages[0]).eval()
x = torch.rand(8, 192, 192, 32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with torch.inference_mode():
    attention(x)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) < 300_000  # kB
