"""The network on OpenVINO: the same graphs, in float32 or bfloat16."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.frontend.onnx import ConversionExtension

from glpn import weights
from glpn.config import GLPNConfig
from glpn.engines import graph
from glpn.engines.trunk import NativeHead, open_folder
from glpn.errors import CheckpointError

_HINTS = {"float32": "f32", "bfloat16": "bf16"}  # left alone, OpenVINO takes bfloat16 by itself


class OpenVinoEngine:
    """An engine on the CPU that also computes in bfloat16. See `glpn.engines.Engine`.

    Args:
        request: of a compiled `trunk.onnx` where there is a head, else `model.onnx`.
        config: the network's.
        folder: for what the messages say.
        precision: "float32" or "bfloat16".
        head: what turns the trunk's features into metres.
        scale: of the metres that `model.onnx` says.
    """

    name = "openvino"

    def __init__(
        self,
        request: openvino.InferRequest,
        config: GLPNConfig,
        *,
        folder: Path,
        precision: str = "float32",
        head: NativeHead | None = None,
        scale: float = 1.0,
    ) -> None:
        self.config = config
        self.precision = precision
        self._request = request
        self._turn = threading.Lock()  # a request serves one call at a time
        self._folder = folder
        self._head = head
        self._scale = np.float32(scale)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        threads: int,
        max_depth: float | None = None,
        precision: str = "float32",
    ) -> OpenVinoEngine:
        """Read `trunk.onnx` or `model.onnx`, after checking that it fits the files beside it.

        Args:
            folder: with `config.json`, `model.safetensors` and `model.onnx`.
            threads: CPU threads.
            max_depth: metres at the sigmoid's 1; the configuration's if None.
            precision: "float32" or "bfloat16".

        Raises:
            MissingInput: a file is not there.
            ConfigError, CheckpointError: a file is damaged or does not fit the others, or a
                weight is NaN or infinite.
        """
        opened = open_folder(folder, max_depth=max_depth)
        model = _read(opened.file)
        metadata = _metadata(model)
        graph_max_depth = graph.require_fit(metadata, opened.file, opened.config)
        _rewrite_pointwise(model)
        head = opened.head(threads)
        if head is not None and precision == "bfloat16":
            model = _with_bfloat16_output(model)
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        compiled = _core().compile_model(model, "CPU", options)
        return cls(
            compiled.create_infer_request(),
            opened.config,
            folder=folder,
            precision=precision,
            head=head,
            scale=opened.config.max_depth / graph_max_depth,
        )

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict depth: float32 [B, 3, H, W] → metres [B, H, W]."""
        return graph.run_at_any_size(self._run, pixels, self.config, folder=self._folder)

    def _run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._turn:
            self._request.infer([pixels], share_inputs=True)
            output: NDArray[Any] = self._request.get_output_tensor(0).data
            if self._head is None:
                metres: NDArray[np.float32] = output * self._scale  # a copy: the memory is reused
                return metres
            return self._head(output.view(np.uint16) if output.itemsize == 2 else output)


def computes_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _core() -> openvino.Core:
    """OpenVINO, with our reading of the operators that it does not know or spells slowly."""
    core = openvino.Core()
    core.add_extension(ConversionExtension("MultiHeadAttention", "com.microsoft", _attention))
    core.add_extension(ConversionExtension("LayerNormalization", "", _layer_norm))
    return core


def _read(file: Path) -> openvino.Model:
    try:
        if not (file.is_symlink() or file.with_name(weights.WEIGHTS_NAME).is_symlink()):
            return _core().read_model(file)
        # OpenVINO refuses weights outside the graph's folder, links resolved, as they lie in the
        # hub's cache.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            for name in (file.name, weights.WEIGHTS_NAME):
                _bring(file.with_name(name).resolve(), Path(folder, name))
            return _core().read_model(Path(folder, file.name))
    except RuntimeError as e:
        raise CheckpointError(
            f"{file}: openvino cannot load it: it is damaged, or made for other weights than "
            f"{file.with_name(weights.WEIGHTS_NAME)}: write it anew with "
            f"`glpn export onnx {file.parent}`"
        ) from e


def _bring(source: Path, target: Path) -> None:
    """The same file under another name, without a copy where the disk allows."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _metadata(model: openvino.Model) -> dict[str, Any]:
    """What the file says about itself."""
    path = ["framework"]
    return dict(model.get_rt_info(path).value) if model.has_rt_info(path) else {}


def _attention(node: Any) -> list[Any]:
    """onnxruntime's operator as OpenVINO knows attention: softmax(Q·Kᵀ/√d)·V, [B, N, C]."""
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


def _layer_norm(node: Any) -> list[Any]:
    """One kernel instead of the four that OpenVINO's own reading becomes."""
    x, weight, bias = (node.get_input(i) for i in range(3))
    eps = float(node.get_attribute("epsilon"))
    normal = ops.mvn(x, np.array([-1]), True, eps, "inside_sqrt")
    return [ops.add(ops.multiply(normal, weight), bias).output(0)]


def _rewrite_pointwise(model: openvino.Model) -> None:
    """Make matrix products of the 1×1 convolutions, which lie between two transpositions.

    The transpositions then meet their inverses and go; as convolutions they cost two copies each.
    """
    for node in model.get_ops():
        if node.get_type_name() != "Convolution":
            continue
        kernel = node.input_value(1)  # [out, in, kh, kw]
        if list(kernel.get_shape())[2:] != [1, 1] or list(node.get_attributes()["strides"]) != [
            1,
            1,
        ]:
            continue
        rows = ops.transpose(node.input_value(0), np.array([0, 2, 3, 1]))
        matrix = ops.reshape(kernel, np.array(list(kernel.get_shape())[:2]), False)
        product = ops.matmul(rows, matrix, False, True)
        node.output(0).replace(ops.transpose(product, np.array([0, 3, 1, 2])).output(0))
    model.validate_nodes_and_infer_types()


def _with_bfloat16_output(model: openvino.Model) -> openvino.Model:
    """The features as they are computed: half the memory for the head to read."""
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.output().tensor().set_element_type(openvino.Type.bf16)
    return steps.build()
