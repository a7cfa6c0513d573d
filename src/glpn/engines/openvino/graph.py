"""Read the graphs into OpenVINO, and translate operators that it lacks or handles badly."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops
from openvino.frontend.onnx import ConversionExtension

from glpn import weights
from glpn.errors import CheckpointError

_TO_LAST, _TO_FIRST = np.array([0, 2, 3, 1]), np.array([0, 3, 1, 2])  # moving the channels


def read(file: Path) -> openvino.Model:
    """`trunk.onnx` or `model.onnx`, with the weights beside it.

    Raises:
        CheckpointError: OpenVINO cannot load it.
    """
    try:
        if not (file.is_symlink() or file.with_name(weights.WEIGHTS_NAME).is_symlink()):
            return _core().read_model(file)
        # OpenVINO resolves links and rejects weights outside the graph's folder, as in the hub's
        # cache.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for name in (file.name, weights.WEIGHTS_NAME):
                _link_or_copy(file.with_name(name).resolve(), Path(folder, name))
            return _core().read_model(Path(folder, file.name))
    except (RuntimeError, UnicodeDecodeError) as e:  # not all error texts are UTF-8
        raise CheckpointError(
            f"{file}: openvino cannot load it: it is damaged, or made for other weights than "
            f"{file.with_name(weights.WEIGHTS_NAME)}: write it again with "
            f"`glpn export onnx {file.parent}`"
        ) from e


def metadata(model: openvino.Model) -> dict[str, str]:
    """The metadata of the file; empty if it is damaged."""
    path = ["framework"]
    try:
        return dict(model.get_rt_info(path).value) if model.has_rt_info(path) else {}
    except UnicodeDecodeError:
        return {}


def with_bfloat16_output(model: openvino.Model) -> openvino.Model:
    """Features in bfloat16 as computed, so that the head reads half the memory."""
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.output().tensor().set_element_type(openvino.Type.bf16)
    return steps.build()


def _core() -> openvino.Core:
    core = openvino.Core()
    core.add_extension(ConversionExtension("Conv", "", _convolution))
    core.add_extension(ConversionExtension("LayerNormalization", "", _layer_norm))
    core.add_extension(ConversionExtension("MultiHeadAttention", "com.microsoft", _attention))
    return core


def _link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the disk does not support hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _convolution(node: Any) -> list[Any]:
    """A convolution; one of 1×1 as a matrix product between two transpositions.

    The transpositions cancel with their neighbours; a convolution would cost two copies. The bias
    is added before the second transposition, or it would keep them from cancelling.
    """
    x, kernel, bias = (node.get_input(i) for i in range(3))  # kernel [out, in / groups, kh, kw]
    strides, groups = list(node.get_attribute("strides", [1, 1])), node.get_attribute("group", 1)
    shape = list(kernel.get_shape())
    if shape[2:] == [1, 1] and strides == [1, 1] and groups == 1:
        matrix = ops.reshape(kernel, np.array(shape[:2]), False)
        product = ops.matmul(ops.transpose(x, _TO_LAST), matrix, False, True)
        return [ops.transpose(ops.add(product, bias), _TO_FIRST).output(0)]
    pads = list(node.get_attribute("pads", [0, 0, 0, 0]))
    place = (strides, pads[:2], pads[2:], [1, 1])
    if groups == 1:
        y = ops.convolution(x, kernel, *place)
    else:
        each = np.array([groups, shape[0] // groups, *shape[1:]])
        y = ops.group_convolution(x, ops.reshape(kernel, each, False), *place)
    return [ops.add(y, ops.reshape(bias, np.array([1, -1, 1, 1]), False)).output(0)]


def _layer_norm(node: Any) -> list[Any]:
    """One kernel over rows instead of the four that OpenVINO's own translation makes."""
    x, weight, bias = (node.get_input(i) for i in range(3))
    rows = ops.reshape(x, np.array([-1, weight.get_shape()[0]]), False)
    eps = float(node.get_attribute("epsilon"))
    normal = ops.mvn(rows, np.array([1]), True, eps, "inside_sqrt")
    y = ops.add(ops.multiply(normal, weight), bias)
    return [ops.reshape(y, ops.shape_of(x), False).output(0)]


def _attention(node: Any) -> list[Any]:
    """onnxruntime's attention operator in OpenVINO's: softmax(Q·Kᵀ/√d)·V, [B, N, C]."""
    query, key, value = (node.get_input(i) for i in range(3))
    heads = node.get_attribute("num_heads")
    width = query.get_partial_shape()[2].get_length()
    depth = width // heads
    swap = np.array([0, 2, 1, 3])

    def split(x: Any) -> Any:  # → [B, heads, N, d]
        return ops.transpose(ops.reshape(x, np.array([0, -1, heads, depth]), True), swap)

    query = ops.multiply(split(query), np.array(depth**-0.5, np.float32))
    scores = ops.softmax(ops.matmul(query, split(key), False, True), -1)
    mixed = ops.transpose(ops.matmul(scores, split(value), False, False), swap)
    return [ops.reshape(mixed, np.array([0, -1, width]), True).output(0)]
