"""Roofline: a lower bound for the time of any engine on this machine.

It is the network's number of multiply-adds, divided by the number that the machine computes per
second in large matrix products.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from glpn.engines.registry import FLOAT32, EngineRow
from glpn.errors import UsageError
from glpn.network.config import GLPNConfig, Stage

_SIDE = 2048  # rows and columns of the measured matrices
_MEASURED_SECONDS = 0.5  # time spent on products; the fastest one counts


def multiply_adds(config: GLPNConfig, height: int, width: int, *, written: bool = False) -> int:
    """Multiplications (each with an addition) in the convolutions and products of one image.

    Args:
        config: the network's configuration.
        height, width: size of the input, multiples of `config.size_divisor`.
        written: count the head's first convolution at full size, as in `network/head.py`, and not
            at a quarter of the sides, as in `native/head.c`, which gives the same result.
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
    """Multiply-adds of an encoder stage with this number of output positions."""
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
    """Multiply-adds of the decoder before its head."""
    channels, total = config.decoder_hidden_size, 0
    for i, wide in enumerate(reversed(config.hidden_sizes)):
        count = positions[-1 - i]
        total += count * wide * channels if wide != channels else 0
        if i and config.fusion == "selective":
            half = channels // 2
            total += 9 * count * (2 * channels * channels + channels * half + half * 2)
    return total


def peak(row: EngineRow, precision: str, *, threads: int) -> float:
    """Multiply-adds per second in the product of large matrices, measured for half a second.

    Args:
        row: the engine whose run time multiplies; NumPy multiplies for engines without a
            `matrix_product` of their own, with the threads that the environment gives it.
        precision: the engine's precision; for "int8+...", the 8-bit products count.
        threads: CPU threads.

    Raises:
        UsageError: NumPy computes only float32.
    """
    matrix = np.random.default_rng(0).random((_SIDE, _SIDE), np.float32)
    product = getattr(row.load_module(), "matrix_product", None)
    if product is not None:
        run: Callable[[], object] = product(matrix, precision, threads)
    elif precision == FLOAT32:
        run = lambda: matrix @ matrix  # noqa: E731
    else:
        raise UsageError(f"precision: engine {row.name} has no {precision}")
    run()
    times: list[float] = []
    while sum(times) < _MEASURED_SECONDS:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return _SIDE**3 / min(times)
