"""One ONNX file with the weights inside: of the bare network, or from images to metres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glpn.engines.hardware import usable_cores
from glpn.export.onnx import build_graph
from glpn.export.onnx_image import build_image_graph
from glpn.export.onnx_nodes import OPSET
from glpn.export.publish import Format
from glpn.export.source import DEPTH, Runner, Source

if TYPE_CHECKING:
    from onnx import ModelProto


def onnx_format(*, portable: bool) -> Format:
    """Files for onnxruntime, or with `portable` for any run time."""
    return Format((".onnx",), lambda source: build(source, portable=portable), encode, opened)


def build(source: Source, *, portable: bool) -> ModelProto:
    """The graph with its weights inside.

    Raises:
        UsageError: as `build_image_graph`.
    """
    from onnx.external_data_helper import load_external_data_for_model

    if source.processor is None:
        model = build_graph(source.config, source.header, portable=portable)
    else:
        model = build_image_graph(source.config, source.header, source.processor, portable=portable)
    load_external_data_for_model(model, str(source.folder))
    return model


def encode(model: ModelProto, facts: Mapping[str, str]) -> list[bytes]:
    """The file's bytes; the facts are its `metadata_props`."""
    from onnx import helper

    helper.set_model_props(model, {**facts, "opset": str(OPSET)})
    return [model.SerializeToString(deterministic=True)]


def opened(contents: Sequence[bytes]) -> Runner:
    """The file in onnxruntime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    options.enable_mem_pattern = False  # as the engine: see glpn.engines.onnxruntime
    session = onnxruntime.InferenceSession(contents[0], options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(batch: NDArray[Any]) -> NDArray[np.float32]:
        depth: NDArray[np.float32] = session.run([DEPTH], {name: batch})[0]
        return depth

    return run
