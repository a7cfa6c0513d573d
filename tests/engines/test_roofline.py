"""The roofline counts the network's multiply-adds, as torch's own counter does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from glpn import GLPNConfig, GLPNForDepthEstimation
from glpn.engines.registry import engine_row
from glpn.engines.roofline import multiply_adds, peak
from glpn.errors import UsageError


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"fusion": "sum"},
        {"head_in_index": 1},
        {"head_in_index": 0, "decoder_hidden_size": 32},
        {"mlp_ratios": [2, 4, 3, 1], "num_channels": 4, "sr_ratios": [4, 2, 1, 1]},
        {"depths": [3, 8, 27, 3], "hidden_sizes": [64, 128, 320, 512]},
    ],
)
def test_multiply_adds_are_those_that_torch_counts(fields: dict[str, Any]) -> None:
    config = GLPNConfig(**fields)
    with torch.device("meta"):
        network = GLPNForDepthEstimation(config).eval()
        pixels = torch.zeros(1, config.num_channels, 96, 160)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(pixels, output_attentions=True)  # its attention in products, which are counted
    assert 2 * multiply_adds(config, 96, 160, written=True) == counter.get_total_flops()


def test_the_heads_first_convolution_costs_a_sixteenth_at_a_quarter_of_the_sides() -> None:
    config = GLPNConfig.preset("b0")
    saved = multiply_adds(config, 480, 640, written=True) - multiply_adds(config, 480, 640)
    assert saved == 9 * 64 * 64 * 480 * 640 * 15 // 16


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "torch"])
def test_the_measured_peak_is_plausible_for_a_cpu(engine: str) -> None:
    assert (
        1e8 < peak(engine_row(engine), "float32", threads=1) < 1e13
    )  # an old core's and more than any CPU's multiply-adds a second


def test_a_precision_that_numpy_does_not_compute_is_refused() -> None:
    with pytest.raises(UsageError, match="onnxruntime has no bfloat16"):
        peak(engine_row("onnxruntime"), "bfloat16", threads=1)


def test_counts_grow_with_pixels_and_attention_faster() -> None:
    config = GLPNConfig.preset("b0")
    sizes = np.array([multiply_adds(config, 96 * i, 160 * i) for i in (1, 2, 4)])
    ratios = sizes[1:] / sizes[:-1]
    assert (ratios > 4).all() and (ratios < 16).all() and ratios[1] > ratios[0]
