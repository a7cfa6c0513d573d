"""The network on OpenVINO: the same graphs, in float32 or bfloat16."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import LifoQueue, Queue
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from glpn import weights
from glpn.config import GLPNConfig
from glpn.engines import graph, openvino_graph
from glpn.engines.trunk import NativeHead, open_folder

# OpenVINO's binding meets NumPy at the first such call. Two threads that make it at a time wait
# for each other for ever, so it is made here, before there are lanes.
openvino.Type.f32.to_dtype()

_HINTS = {"float32": "f32", "bfloat16": "bf16"}  # left alone, OpenVINO takes bfloat16 by itself

# Each plan holds the weights once more, in the layout of its kernels, and memory for the maps.
_MOST_PLANS, _FEWEST_PLANS = 8, 2
_PLANNED_BYTES = 1 << 28  # of weights on disk, by which the number of plans is chosen


class Plans:
    """The network compiled for each size of its input, the latest sizes kept.

    Where sizes are unknown OpenVINO copies maps from one layout into another between convolutions
    and matrix products: for b0 at 480×640 in bfloat16 71 ms instead of 44. A size costs 0.3 s of
    compiling (b4: 2 s) when it comes first. Pictures of a batch run one by one, which is as fast,
    needs one plan for all batches, and gives the bits of single ones.

    Args:
        model: of pixels [B, C, H, W], any B, H and W.
        precision: "float32" or "bfloat16".
        threads: CPU threads of one run.
        most: how many plans are kept.
        lanes: runs at a time. Two on a core each do more pictures a second than one on two cores
            (`benchmarks/folder.py`).
    """

    def __init__(
        self, model: openvino.Model, precision: str, *, threads: int, most: int, lanes: int = 1
    ) -> None:
        self._model = model
        self._options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads * lanes,
            **({"NUM_STREAMS": lanes} if lanes > 1 else {"PERFORMANCE_HINT": "LATENCY"}),
        }
        self._most, self._lanes = most, lanes
        self._free: OrderedDict[tuple[int, ...], Queue[openvino.InferRequest]] = OrderedDict()
        self._changing = threading.Lock()

    @contextmanager
    def request(self, shape: tuple[int, ...]) -> Iterator[openvino.InferRequest]:
        """Lend what runs an input [1, C, H, W] of this shape; waits until a lane is free."""
        with self._changing:
            free = self._requests(shape)
        request = free.get()
        try:
            yield request
        finally:
            free.put(request)

    def _requests(self, shape: tuple[int, ...]) -> Queue[openvino.InferRequest]:
        """Those of a plan that are free, made where it is not kept."""
        if shape not in self._free:
            while len(self._free) >= self._most:
                self._free.popitem(last=False)
            plan = self.compiled(shape)
            self._free[shape] = LifoQueue()  # the latest one's memory is still in the cache
            for _ in range(self._lanes):
                self._free[shape].put(plan.create_infer_request())
        self._free.move_to_end(shape)
        return self._free[shape]

    def compiled(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        """The network for inputs of this shape, not kept."""
        model = self._model.clone()
        model.reshape(list(shape))
        return openvino.Core().compile_model(model, "CPU", self._options)


class OpenVinoEngine:
    """An engine on the CPU that also computes in bfloat16. See `glpn.engines.Engine`.

    Args:
        plans: of `trunk.onnx` where there is a head, else `model.onnx`.
        config: the network's.
        folder: for what the messages say.
        precision: "float32" or "bfloat16".
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
        lanes: int = 1,
    ) -> OpenVinoEngine:
        """Read `trunk.onnx` or `model.onnx`, after checking that it fits the files beside it.

        Args:
            folder: with `config.json`, `model.safetensors` and `model.onnx`.
            threads: CPU threads.
            max_depth: metres at the sigmoid's 1; the configuration's if None.
            precision: "float32" or "bfloat16".
            lanes: calls at a time that run side by side, each on so many threads.

        Raises:
            MissingInput: a file is not there.
            ConfigError, CheckpointError: a file is damaged or does not fit the others, or a
                weight is NaN or infinite.
        """
        opened = open_folder(folder, max_depth=max_depth)
        model = openvino_graph.read(opened.file)
        metadata = openvino_graph.metadata(model)
        graph_max_depth = graph.require_fit(metadata, opened.file, opened.config)
        head = opened.head(threads)
        if head is not None and precision == "bfloat16":
            model = openvino_graph.with_bfloat16_output(model)
        size = (folder / weights.WEIGHTS_NAME).stat().st_size
        most = min(max(_PLANNED_BYTES // size, _FEWEST_PLANS), _MOST_PLANS)
        return cls(
            Plans(model, precision, threads=threads, most=most, lanes=lanes),
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
