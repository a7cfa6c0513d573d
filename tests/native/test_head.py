"""The compiled head: the reference's metres, the same bits from any threads, no crash ever."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from glpn import native
from glpn.errors import UsageError
from glpn.network.config import GLPNConfig
from glpn.network.decoder import upsample
from glpn.network.head import DepthHead

pytestmark = pytest.mark.skipif(not native.available(), reason="glpn was built without a compiler")

SIZES = [(1, 1), (1, 7), (7, 1), (2, 2), (5, 3), (9, 11)]
LANES = (4, 8, 16)  # of the kernel's clones


def make_head(channels: int, *, max_depth: float = 10.0, seed: int = 0) -> DepthHead:
    """A random head whose logits spread over the sigmoid's bend."""
    head = DepthHead(GLPNConfig(decoder_hidden_size=channels, max_depth=max_depth)).double()
    generator = torch.Generator().manual_seed(seed)
    for value in head.parameters():
        nn.init.normal_(value, std=2 / (3 * channels**0.5), generator=generator)
    return head.requires_grad_(False)


def make_features(*shape: Any, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def reference(head: Any, features: torch.Tensor) -> np.ndarray:
    """The head as network/head.py writes it, in float64, on the full-size map."""
    x = features.double().permute(0, 3, 1, 2)
    return head([upsample(upsample(x))]).numpy()


def compiled(head: DepthHead) -> native.HeadWeights:
    """The same weights for the kernel."""
    arrays = [
        value.float().numpy()
        for layer in (head.conv1, head.conv2)
        for value in (layer.weight, layer.bias)
    ]
    return native.HeadWeights.of(*arrays, max_depth=head.max_depth)


# What it computes


@pytest.mark.parametrize("channels", [8, 16, 24, 64])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_metres_are_the_reference_s_at_every_pixel_borders_included(
    height: int, width: int, channels: int
) -> None:
    head = make_head(channels)
    features = make_features(2, height, width, channels)
    expected = reference(head, features)
    assert np.ptp(expected) > 0.5  # metres: the sigmoid is not saturated
    for clone in range(native.clones()):
        if channels % LANES[clone] == 0:
            depth = native.depth_head(features.numpy(), compiled(head), threads=1, clone=clone)
            assert depth.shape == (2, 4 * height, 4 * width)
            np.testing.assert_allclose(depth, expected, rtol=1e-5)


def test_bfloat16_features_give_exactly_what_their_float32_values_give() -> None:
    weights = compiled(make_head(16))
    half = make_features(1, 5, 6, 16).bfloat16()
    bits = half.view(torch.uint16).numpy()
    depth = native.depth_head(bits, weights, threads=1)
    np.testing.assert_array_equal(
        depth, native.depth_head(half.float().numpy(), weights, threads=1)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_channels_first_map_seen_through_strides_gives_the_same_bits(dtype: Any) -> None:
    weights = compiled(make_head(16))
    features = make_features(2, 5, 6, 16).to(dtype)
    planes = features.permute(0, 3, 1, 2).contiguous()
    arrays = [
        (x.view(torch.uint16) if dtype is torch.bfloat16 else x).numpy() for x in (features, planes)
    ]
    depth = native.depth_head(arrays[0], weights, threads=1)
    turned = native.depth_head(arrays[1].transpose(0, 2, 3, 1), weights, threads=1)
    np.testing.assert_array_equal(turned, depth)


@settings(max_examples=25)
@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 2), st.integers(2, 12))
def test_any_number_of_threads_gives_the_same_bits(
    height: int, width: int, batch: int, threads: int
) -> None:
    weights = compiled(make_head(8))
    features = make_features(batch, height, width, 8).numpy()
    alone = native.depth_head(features, weights, threads=1)
    assert alone.shape == (batch, 4 * height, 4 * width)
    np.testing.assert_array_equal(native.depth_head(features, weights, threads=threads), alone)


@pytest.mark.parametrize("logit", [-120.0, -80.0, -1e-3, 0.0, 3.0, 80.0, 120.0])
def test_the_sigmoid_holds_at_its_ends(logit: float) -> None:
    weights = dataclasses.replace(compiled(make_head(8)), bias2=logit)
    weights.dots[:] = 0
    depth = native.depth_head(make_features(1, 1, 1, 8).numpy(), weights, threads=1)
    expected = 10 / (1 + np.exp(-np.float64(logit)))
    np.testing.assert_allclose(depth, expected, rtol=1e-6, atol=1e-36)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_do_not_become_metres(value: Any) -> None:
    features = make_features(1, 3, 3, 8).numpy()
    features[0, 1, 1, 5] = value
    depth = native.depth_head(features, compiled(make_head(8)), threads=1)
    assert np.isnan(depth[0, 4:8, 4:8]).all()


# What it costs


NEEDED = ("cc", "valgrind")


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {' and '.join(NEEDED)}")
def test_the_head_executes_a_fraction_of_the_full_size_convolution(tmp_path: Path) -> None:
    """Counted, not timed: instructions of the whole head for each pixel of its output.

    The first convolution on the doubled map would be 9·C² multiply-adds a pixel: 4608 instructions
    at 64 channels and the eight lanes that valgrind knows. The polyphase head makes 9·C²/16 for the
    taps (288), 2·7.5 and a half for the two interpolations of every channel, and 2·9 for the
    products.

    `scripts/sanitize` loads AddressSanitizer by LD_PRELOAD, which every child process inherits.
    Valgrind puts its own libraries before it, and AddressSanitizer stops a program in which it is
    not the first. This program is not sanitized, so it starts without LD_PRELOAD.
    """
    height, width, channels, lanes = 8, 16, 64, 8
    pixels = 16 * height * width
    assert instructions(tmp_path, height, width, channels) / pixels < 9 * channels**2 / lanes / 3


PROGRAM = """
#include "head.c"
#include <stdlib.h>
int main(void) {
  const int64_t h = %d, w = %d, c = %d;
  struct glpn_head_job job = {
      calloc(h * w * c, 4), calloc(9 * c * c, 4), calloc(c, 4), calloc(c, 4 * DOT_STRIDE),
      calloc(16 * h * w, 4), calloc(glpn_head_workspace(w, c), 4),
      h, w, c, {w * c, c, 1}, 0, h, 0.f, 1.f, 0, glpn_head_clones() - 1};
  glpn_head(&job);
  return 0;
}
"""


def instructions(folder: Path, height: int, width: int, channels: int) -> int:
    """What the kernel executes for one map, with the widest vectors that valgrind knows."""
    (folder / "main.c").write_text(PROGRAM % (height, width, channels))
    source = Path(__file__).parents[2] / "src/glpn/native"
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    build = ["cc", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
    subprocess.run(
        [*build, f"-I{source}", "main.c", "-o", "main"], check=True, cwd=folder, env=plain
    )
    count = ["valgrind", "--tool=callgrind", "--callgrind-out-file=out"]
    count += ["--toggle-collect=glpn_head", "./main"]
    subprocess.run(count, check=True, cwd=folder, env=plain, capture_output=True)
    totals = [x for x in (folder / "out").read_text().splitlines() if x.startswith("totals:")]
    total = int(totals[0].split()[1])
    assert total > 0  # the symbol was found
    return total


# What it refuses


def refused(
    match: str, features: Any = None, threads: int = 1, clone: Any = None, **fields: Any
) -> None:
    weights = compiled(make_head(16))
    if features is None:
        features = np.zeros((1, 2, 3, 16), np.float32)
    with pytest.raises(UsageError, match=match):
        weights = dataclasses.replace(weights, **fields)
        native.depth_head(features, weights, threads=threads, clone=clone)


@pytest.mark.parametrize("shape", [(2, 3, 16), (1, 2, 3, 8), (1, 0, 3, 16), (1, 2, 0, 16), (16,)])
def test_features_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    refused(r"features: expected shape \[batch, height, width, 16\]", np.zeros(shape, np.float32))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int16, ">f4", object])
def test_features_of_another_type_are_refused(dtype: Any) -> None:
    refused("features: expected float32, or bfloat16", np.zeros((1, 2, 3, 16), dtype))


def test_features_that_are_no_array_are_refused() -> None:
    refused("features: expected float32.*list", [[[[0.0] * 16]]])


def test_features_that_lie_askew_in_memory_are_refused() -> None:
    askew = np.zeros(4 * 96 + 1, np.uint8)[1:].view(np.float32).reshape(1, 2, 3, 16)
    refused("features: expected an array that is aligned", askew)


@pytest.mark.parametrize("threads", [0, -1])
def test_an_impossible_number_of_threads_is_refused(threads: int) -> None:
    refused("threads: expected at least 1", threads=threads)


@pytest.mark.parametrize("clone", [-1, 3, 99])
def test_a_clone_that_is_not_there_is_refused(clone: int) -> None:
    refused("clone: expected one of", clone=clone)


def test_a_clone_whose_vectors_do_not_divide_the_channels_is_refused() -> None:
    features, weights = np.zeros((1, 1, 1, 8), np.float32), compiled(make_head(8))
    with pytest.raises(UsageError, match="for 8 channels, got 2"):
        native.depth_head(features, weights, threads=1, clone=2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("taps", np.zeros((16, 16), np.float32)),
        ("taps", np.zeros((16, 144))),
        ("taps", np.zeros((144, 16), np.float32).T),
        ("bias1", np.zeros((16, 1), np.float32)),
        ("bias1", np.zeros(32, np.float32)[::2]),
        ("dots", np.zeros((16, 9), np.float32)),
        ("dots", [[0.0]]),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(field: str, value: Any) -> None:
    refused(f"{field}: expected", **{field: value})


@pytest.mark.parametrize("channels", [2, 12, 20])
def test_channels_that_no_vector_divides_are_refused(channels: int) -> None:
    with pytest.raises(UsageError, match=f"multiple of 8 channels, got {channels}"):
        compiled(make_head(channels))


def test_without_the_library_the_room_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = compiled(make_head(8))
    monkeypatch.setattr(native, "LIBRARY", Path("/nowhere/_head.so"))
    native._library.cache_clear()
    try:
        assert not native.available()
        with pytest.raises(UsageError, match="built without a compiler"):
            native.depth_head(np.zeros((1, 1, 1, 8), np.float32), weights, threads=1)
    finally:
        native._library.cache_clear()
