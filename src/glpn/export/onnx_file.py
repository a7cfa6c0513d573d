"""One ONNX file with the weights inside: of the bare network, or from images to metres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glpn.engines.hardware import usable_cores
from glpn.errors import UsageError
from glpn.export.model_source import DEPTH, Runner, Source, Variant
from glpn.export.onnx import build_graph
from glpn.export.onnx_image import build_image_graph
from glpn.export.onnx_nodes import OPSET
from glpn.export.writer import Format

if TYPE_CHECKING:
    from onnx import ModelProto


_USUAL = Variant()


def onnx_format(*, portable: bool, variant: Variant = _USUAL) -> Format:
    """The format of files for onnxruntime, or with `portable` for any run time."""
    return Format(
        (".onnx",),
        lambda source: build(source, portable=portable, variant=variant),
        encode,
        opened,
    )


def build(source: Source, *, portable: bool, variant: Variant = _USUAL) -> ModelProto:
    """The graph with its weights inside.

    Raises:
        UsageError: as `build_image_graph`, or the graph does not support the variant.
    """
    variant.require_size(source.divisor)
    if variant.half and source.processor is not None:
        raise UsageError("--half: not with --end-to-end: resizing needs float32")
    from onnx.external_data_helper import load_external_data_for_model

    if source.processor is None:
        model = build_graph(source.config, source.header, portable=portable)
    else:
        model = build_image_graph(source.config, source.header, source.processor, portable=portable)
    load_external_data_for_model(model, str(source.folder))
    if variant.opset not in (None, OPSET):
        model = _at_opset(model, variant.opset)
    if variant.size is not None:
        _fix_size(model, variant.size)
    return _in_half(model) if variant.half else model


def _at_opset(model: ModelProto, opset: int) -> ModelProto:
    """The same graph in another ONNX operator set.

    Raises:
        UsageError: onnx cannot convert the graph to it.
    """
    from onnx import checker, version_converter

    if any(item.domain for item in model.opset_import):
        raise UsageError("--opset: needs --portable: onnxruntime's own operators have no opset")
    try:
        converted = version_converter.convert_version(model, opset)
        checker.check_model(converted)
    except Exception as e:  # the converter's errors have no common class
        reason = str(e).strip().splitlines()[-1]
        raise UsageError(f"--opset {opset}: onnx cannot convert the graph: {reason}") from e
    return converted


def _fix_size(model: ModelProto, size: tuple[int, int]) -> None:
    """Fix the size of the input and of the depth, in place."""
    taken = model.graph.input[0].type.tensor_type.shape.dim
    channels_last = taken[-1].dim_value > 0  # images [B, H, W, 3], else pixels [B, 3, H, W]
    given = model.graph.output[0].type.tensor_type.shape.dim
    for dims, first in ((taken, 1 if channels_last else 2), (given, 1)):
        dims[0].dim_value = 1
        dims[first].dim_value, dims[first + 1].dim_value = size


def _in_half(model: ModelProto) -> ModelProto:
    """Weights and arithmetic in float16; inputs and outputs keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    converted: ModelProto = convert_float_to_float16(model, keep_io_types=True)
    return converted


def encode(model: ModelProto, facts: Mapping[str, str]) -> list[bytes]:
    """The file's bytes, with the facts in its `metadata_props`."""
    from onnx import helper

    opset = next(item.version for item in model.opset_import if not item.domain)
    helper.set_model_props(model, {**facts, "opset": str(opset)})
    return [model.SerializeToString(deterministic=True)]


def opened(contents: Sequence[bytes]) -> Runner:
    """Open the file in onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.enable_mem_pattern = False  # see glpn.engines.onnxruntime
    session = onnxruntime.InferenceSession(contents[0], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(batch: np.ndarray) -> NDArray[np.float32]:
        depth: NDArray[np.float32] = session.run([DEPTH], {name: batch})[0]
        return depth

    return run
