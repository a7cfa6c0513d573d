"""int8 on OpenVINO: products with 8-bit factors, with ranges measured on real photos.

A product is a convolution or matrix product with weights in the encoder or the decoder, except
the head and 8×8 convolutions. Each row of its weights is rounded to 255 steps, its input to 256
steps between the smallest and the largest value seen. OpenVINO turns these into integer
arithmetic wherever it can.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

from glpn.engines.openvino import graph
from glpn.engines.openvino.compiled_models import CompiledModels
from glpn.engines.protocol import Ranges
from glpn.engines.trunk import open_folder

_PRODUCTS = {"Convolution", "MatMul"}
_BETWEEN = {"Convert", "Reshape"}  # operators between a weight in the file and its product
_HEAD = "head."
_STEPS, _WEIGHT_STEPS = 255, 254
_MIN_RANGE = 1e-6  # narrowest range
# On CPUs with AMX, OpenVINO's 8-bit convolutions of 8×8 are wrong: two of them moved b0's features
# by 23 % from float32, all other products together by 1.5 %.
_MAX_KERNEL_SIDE = 7


def quantised(model: openvino.Model, ranges: Ranges) -> openvino.Model:
    """Round the factors of all products that have a range to steps; changes the model itself."""
    for name, (product, weight) in _products(model).items():
        if name not in ranges:
            continue
        taken, kernel = product.input(0), product.input(1)
        low, high = _with_zero_on_a_step(*ranges[name])
        steps = ops.fake_quantize(taken.get_source_output(), low, high, low, high, _STEPS + 1)
        largest = np.abs(weight.reshape(len(weight), -1)).max(axis=1).clip(_MIN_RANGE)
        rank = kernel.get_partial_shape().rank.get_length()
        bound = largest.astype(np.float32).reshape(-1, *[1] * (rank - 1))
        rows = ops.fake_quantize(
            kernel.get_source_output(), -bound, bound, -bound, bound, _WEIGHT_STEPS + 1
        )
        taken.replace_source_output(steps.output(0))
        kernel.replace_source_output(rows.output(0))
    model.validate_nodes_and_infer_types()
    return model


def seen_ranges(
    folder: Path, batches: Iterable[NDArray[np.float32]], *, threads: int
) -> dict[str, tuple[float, float]]:
    """The range of the inputs of every product of a folder's network, in float32.

    Args:
        folder: the folder of the model.
        batches: pixels [1, 3, H, W] of at least one photo, with sides that the graph accepts.
        threads: CPU threads.

    Raises:
        Errors as `OpenVinoEngine.open`.
    """
    model = graph.read(open_folder(folder, max_depth=None).file)
    products = _products(model)
    model.add_outputs([extreme for p, _ in products.values() for extreme in _extremes(p)])
    compiled = CompiledModels(model, "float32", threads=threads, capacity=2)
    seen = [_seen(compiled, pixels, len(products)) for pixels in batches]
    lows, highs = np.min(seen, axis=0)[:, 0], np.max(seen, axis=0)[:, 1]
    return {
        name: (min(_short(low), 0.0), max(_short(high), _MIN_RANGE))
        for name, low, high in zip(products, lows, highs, strict=True)
    }


def _seen(
    compiled: CompiledModels, pixels: NDArray[np.float32], products: int
) -> NDArray[np.float32]:
    """[products, 2]: smallest and largest."""
    with compiled.request(pixels.shape) as request:
        request.infer([pixels], share_inputs=True)
        values = [request.get_output_tensor(1 + i).data.item() for i in range(2 * products)]
    return np.array(values, np.float32).reshape(products, 2)


def _short(value: np.float32) -> float:
    """The value with six digits; the seventh differs between machines."""
    return float(f"{value:.6g}")


def _extremes(product: openvino.Node) -> Iterator[openvino.Output]:
    flat = ops.reshape(product.input_value(0), np.array([-1]), False)
    for reduce in (ops.reduce_min, ops.reduce_max):
        yield reduce(flat, np.array([0]), False).output(0)


def _products(
    model: openvino.Model,
) -> dict[str, tuple[openvino.Node, NDArray[np.float32]]]:
    """Return the product and the weight [out, ...] by the weight's name."""
    found = {}
    for node in model.get_ordered_ops():
        if node.get_type_name() not in _PRODUCTS:
            continue
        source = node.input_value(1).get_node()
        while source.get_type_name() in _BETWEEN:
            source = source.input_value(0).get_node()
        name = source.get_friendly_name()
        if source.get_type_name() != "Constant" or name.startswith(_HEAD):
            continue
        weight = np.asarray(source.data, np.float32)
        if max(weight.shape[2:], default=1) <= _MAX_KERNEL_SIDE:
            found[name] = (node, weight)
    return found


def _with_zero_on_a_step(low: float, high: float) -> tuple[np.float32, np.float32]:
    """A range of 255 steps with one of them at 0, so that zero padding stays exactly zero."""
    step = (high - low) / _STEPS
    below = round(-low / step)
    return np.float32(-below * step), np.float32((_STEPS - below) * step)
