"""The network on OpenVINO: the same graphs, in float32, bfloat16, or with 8-bit products."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from glpn import weights
from glpn.engines import graph
from glpn.engines.openvino import graph as openvino_graph
from glpn.engines.openvino import int8
from glpn.engines.openvino.compiled_models import Plans
from glpn.engines.openvino.int8 import Ranges
from glpn.engines.trunk import NativeHead, open_folder
from glpn.errors import UsageError
from glpn.network.config import GLPNConfig

# OpenVINO's binding meets NumPy at the first such call. Two threads that make it at a time wait
# for each other for ever, so it is made here, before there are threads.
openvino.Type.f32.to_dtype()

# Each plan holds the weights once more, in the layout of its kernels, and memory for the maps.
_MOST_PLANS, _FEWEST_PLANS = 8, 2
_PLANNED_BYTES = 1 << 28  # of weights on disk, by which the number of plans is chosen


class OpenVinoEngine:
    """An engine on the CPU that also computes with fewer bits. See `glpn.engines.protocol.Engine`.

    Args:
        plans: of `trunk.onnx` where there is a head, else `model.onnx`.
        config: the network's.
        folder: for what the messages say.
        precision: as told to `open`.
        head: what turns the trunk's features into metres.
        scale: of the metres that `model.onnx` says.
    """

    name = "openvino"

    def __init__(
        self,
        plans: Plans,
        config: GLPNConfig,
        *,
        folder: Path,
        precision: str = "float32",
        head: NativeHead | None = None,
        scale: float = 1.0,
    ) -> None:
        self.config = config
        self.precision = precision
        self._plans = plans
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
        ranges: Ranges | None = None,
        concurrency: int = 1,
    ) -> OpenVinoEngine:
        """Read `trunk.onnx` or `model.onnx`, after checking that it fits the files beside it.

        Args:
            folder: with `config.json`, `model.safetensors` and `model.onnx`.
            threads: CPU threads.
            max_depth: metres at the sigmoid's 1; the configuration's if None.
            precision: "float32", "bfloat16", or "int8+" and one of these: products with 8-bit
                factors, the rest as named.
            ranges: of what goes into these products; needed with "int8+".
            concurrency: calls at a time that run side by side, each on so many threads.

        Raises:
            MissingInput: a file is not there.
            ConfigError, CheckpointError: a file is damaged or does not fit the others, or a
                weight is NaN or infinite.
            UsageError: 8-bit products without ranges.
        """
        opened = open_folder(folder, max_depth=max_depth)
        model = openvino_graph.read(opened.file)
        metadata = openvino_graph.metadata(model)
        graph_max_depth = graph.require_fit(metadata, opened.file, opened.config)
        head = opened.head(threads)
        rest = precision.removeprefix("int8+")
        if rest != precision:
            if not ranges:
                raise UsageError(f"{folder}: no ranges for {precision}; `glpn gate` measures them")
            model = int8.quantised(model, ranges)
        if head is not None and rest == "bfloat16":
            model = openvino_graph.with_bfloat16_output(model)
        size = (folder / weights.WEIGHTS_NAME).stat().st_size
        most = min(max(_PLANNED_BYTES // size, _FEWEST_PLANS), _MOST_PLANS)
        return cls(
            Plans(model, rest, threads=threads, most=most, concurrency=concurrency),
            opened.config,
            folder=folder,
            precision=precision,
            head=head,
            scale=opened.config.max_depth / graph_max_depth,
        )

    def expect(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Have plans for these (height, width) alone; see `PlanningEngine`."""
        self._plans.expect(sizes)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict depth: float32 [B, 3, H, W] → metres [B, H, W]."""
        return graph.run_at_any_size(self._run, pixels, self.config, folder=self._folder)

    def _run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._plans.request((1, *pixels.shape[1:])) as request:
            return np.concatenate([self._single(request, image[None]) for image in pixels])

    def _single(
        self, request: openvino.InferRequest, pixels: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """[1, 3, H, W] → [1, H, W], in memory of its own."""
        request.infer([pixels], share_inputs=True)
        output: NDArray[Any] = request.get_output_tensor(0).data
        if self._head is None:
            metres: NDArray[np.float32] = output * self._scale  # a copy: the memory is reused
            return metres
        return self._head(output.view(np.uint16) if output.itemsize == 2 else output)


def computes_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
