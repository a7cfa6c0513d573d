"""The network on OpenVINO: the same graphs, in float32, bfloat16, or with 8-bit products."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from glpn import weights
from glpn.engines import graph
from glpn.engines.hardware import usable_cores
from glpn.engines.openvino import graph as openvino_graph
from glpn.engines.openvino import int8
from glpn.engines.openvino.compiled_models import CompiledModels
from glpn.engines.protocol import EngineSettings
from glpn.engines.trunk import NativeHead, open_folder
from glpn.errors import UsageError
from glpn.network.config import GLPNConfig

# OpenVINO's Python binding imports NumPy at the first such call. Two threads that make that call
# at once deadlock, so it happens here, before any thread can predict.
openvino.Type.f32.to_dtype()

# Each compiled model has a second copy of the weights, in the layout of its kernels, and memory
# for the activations. Their number therefore depends on the size of the weights on disk.
_MIN_COMPILED, _MAX_COMPILED = 2, 8
_COMPILED_BYTES = 1 << 28


class OpenVinoEngine:
    """An engine on the CPU, also in reduced precision. See `glpn.engines.protocol.Engine`.

    Args:
        compiled: compiled from `trunk.onnx` if there is a head, otherwise from `model.onnx`.
        config: the configuration of the network.
        folder: named in messages.
        precision: the precision in the settings of `open`.
        head: turns the trunk's features into metres.
        scale: factor for the metres of `model.onnx`.
    """

    name = "openvino"

    def __init__(
        self,
        compiled: CompiledModels,
        config: GLPNConfig,
        *,
        folder: Path,
        precision: str = "float32",
        head: NativeHead | None = None,
        scale: float = 1.0,
    ) -> None:
        self.config = config
        self.precision = precision
        self._compiled = compiled
        self._folder = folder
        self._head = head
        self._scale = np.float32(scale)

    @classmethod
    def open(cls, folder: Path, settings: EngineSettings) -> OpenVinoEngine:
        """Read `trunk.onnx` or `model.onnx`, after checking that it fits the files beside it.

        Args:
            folder: holds `config.json`, `model.safetensors` and `model.onnx`.
            settings: `precision` is "float32", "bfloat16", or "int8+" and one of these: products
                with 8-bit factors, which need `ranges`, and everything else as named.

        Raises:
            MissingInput: a file is missing.
            ConfigError, CheckpointError: a file is damaged or does not fit the others, or a
                weight is NaN or infinite.
            UsageError: 8-bit products without ranges.
        """
        threads = settings.threads or usable_cores()
        opened = open_folder(folder, max_depth=settings.max_depth)
        model = openvino_graph.read(opened.file)
        metadata = openvino_graph.metadata(model)
        graph_max_depth = graph.require_fit(metadata, opened.file, opened.config)
        head = opened.head(threads)
        rest = settings.precision.removeprefix("int8+")
        if rest != settings.precision:
            if not settings.ranges:
                raise UsageError(
                    f"{folder}: no ranges for {settings.precision}; `glpn precision` measures them"
                )
            model = int8.quantised(model, settings.ranges)
        if head is not None and rest == "bfloat16":
            model = openvino_graph.with_bfloat16_output(model)
        size = (folder / weights.WEIGHTS_NAME).stat().st_size
        capacity = min(max(_COMPILED_BYTES // size, _MIN_COMPILED), _MAX_COMPILED)
        compiled = CompiledModels(
            model, rest, threads=threads, capacity=capacity, concurrency=settings.concurrency
        )
        scale = opened.config.max_depth / graph_max_depth
        precision = settings.precision
        return cls(
            compiled, opened.config, folder=folder, precision=precision, head=head, scale=scale
        )

    def prepare_sizes(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Compile only for these (height, width); see `PreparingEngine`."""
        self._compiled.prepare_sizes(sizes)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict metres [B, H, W] from pixels, float32 [B, 3, H, W]."""
        return graph.run_at_any_size(self._run, pixels, self.config, folder=self._folder)

    def _run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._compiled.request((1, *pixels.shape[1:])) as request:
            return np.concatenate([self._single(request, image[None]) for image in pixels])

    def _single(
        self, request: openvino.InferRequest, pixels: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Map [1, 3, H, W] to [1, H, W], in memory of its own."""
        request.infer([pixels], share_inputs=True)
        output: NDArray[np.floating] = request.get_output_tensor(0).data
        if self._head is None:
            metres: NDArray[np.float32] = output * self._scale  # a copy: the memory is reused
            return metres
        return self._head(output.view(np.uint16) if output.itemsize == 2 else output)


def computes_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def matrix_product(
    matrix: NDArray[np.float32], precision: str, threads: int
) -> Callable[[], object]:
    """The product of a matrix with itself in a precision, for `roofline`."""
    from openvino import opset13 as ops

    shape = [1, *matrix.shape]
    taken = ops.parameter(shape, openvino.Type.f32)
    product = ops.matmul(taken, ops.constant(matrix, name="weight"), False, True)
    model = openvino.Model([product], [taken])
    rest = precision.removeprefix("int8+")
    if rest != precision:
        int8.quantised(model, {"weight": (0.0, 1.0)})
    compiled = CompiledModels(model, rest, threads=threads, capacity=1)
    request = compiled.compile(tuple(shape)).create_infer_request()
    return lambda: request.infer([matrix[None]], share_inputs=True)
