"""Roofline: the time below which no engine can come here, from two counts.

The network's multiply-adds, over those that the machine makes in a second in large matrix products.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from glpn.errors import UsageError
from glpn.network.config import GLPNConfig, Stage

_SIDE = 2048  # of the measured matrices
_ENOUGH = 0.5  # seconds of products, the fastest counts


def multiply_adds(config: GLPNConfig, height: int, width: int, *, written: bool = False) -> int:
    """Multiplications (each with an addition) of one picture in convolutions and products.

    Args:
        config: the network's.
        height, width: of its input, multiples of `config.size_divisor`.
        written: count the head's first convolution where `decoder.py` has it, at full size, and not
            at a quarter of the sides, where it gives the same (`native/head.c`).
    """
    total, positions = 0, []
    for stage in config.stages:
        height, width = height // stage.stride, width // stage.stride
        positions.append(height * width)
        total += _stage(stage, positions[-1])
    total += _decoder(config, positions)
    last = config.head_in_index % len(positions)
    doublings = 2 if last == len(positions) - 1 else 1
    quarter = positions[-1 - last]
    full = quarter * (16 if doublings == 2 else 4)
    channels: int = config.decoder_hidden_size
    total += 9 * channels**2 * (full if written or doublings == 1 else quarter)
    return total + 9 * channels * full


def _stage(stage: Stage, positions: int) -> int:
    """An encoder stage's, which makes so many positions."""
    channels = stage.width
    hidden = int(channels * stage.mlp_ratio)
    keys = positions // stage.sr_ratio**2
    embed = positions * stage.patch_size**2 * stage.in_channels * channels
    project = 2 * (positions + keys) * channels**2  # query and output, key and value
    reduce = positions * channels**2 if stage.sr_ratio > 1 else 0
    mix = 2 * positions * keys * channels
    feed_forward = positions * (2 * channels * hidden + 9 * hidden)
    return embed + stage.depth * (project + reduce + mix + feed_forward)


def _decoder(config: GLPNConfig, positions: list[int]) -> int:
    """The decoder's, before the head."""
    channels, total = config.decoder_hidden_size, 0
    for i, wide in enumerate(reversed(config.hidden_sizes)):
        count = positions[-1 - i]
        total += count * wide * channels if wide != channels else 0
        if i and config.fusion == "selective":
            half = channels // 2
            total += 9 * count * (2 * channels * channels + channels * half + half * 2)
    return total


def peak(engine: str, precision: str, *, threads: int) -> float:
    """Multiply-adds a second in the product of large matrices, measured for about half a second.

    Args:
        engine: whose run time multiplies: "torch", "openvino", or NumPy's for any other; that takes
            its number of threads from the environment alone.
        precision: as the engine has it; of "int8+..." the 8-bit products count.
        threads: CPU threads.

    Raises:
        UsageError: NumPy has float32 alone.
    """
    if engine == "torch":
        run = _torch(precision, threads)
    elif engine == "openvino":
        run = _openvino(precision, threads)
    elif precision == "float32":
        matrix = _matrix()
        run = lambda: matrix @ matrix  # noqa: E731
    else:
        raise UsageError(f"precision: engine {engine} has no {precision}")
    run()
    times: list[float] = []
    while sum(times) < _ENOUGH:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return _SIDE**3 / min(times)


def _matrix() -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).random((_SIDE, _SIDE), np.float32)


def _torch(precision: str, threads: int) -> Callable[[], object]:
    import torch

    torch.set_num_threads(threads)
    matrix = torch.from_numpy(_matrix()).to(getattr(torch, precision))
    return lambda: matrix @ matrix


def _openvino(precision: str, threads: int) -> Callable[[], object]:
    import openvino
    from openvino import opset13 as ops

    from glpn.engines.openvino.compiled_models import Plans
    from glpn.engines.openvino.int8 import quantised

    taken = ops.parameter([1, _SIDE, _SIDE], openvino.Type.f32)
    product = ops.matmul(taken, ops.constant(_matrix(), name="weight"), False, True)
    model = openvino.Model([product], [taken])
    rest = precision.removeprefix("int8+")
    if rest != precision:
        quantised(model, {"weight": (0.0, 1.0)})
    plans = Plans(model, rest, threads=threads, most=1)
    request = plans.compiled((1, _SIDE, _SIDE)).create_infer_request()
    matrix = _matrix()[None]
    return lambda: request.infer([matrix], share_inputs=True)
