"""OpenVINO's plans: a network compiled for each size of its input, run by several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue, Queue

import openvino

_HINTS = {"float32": "f32", "bfloat16": "bf16"}  # left alone, OpenVINO takes bfloat16 by itself


class Plans:
    """The network compiled for each size of its input, the latest sizes kept.

    Where sizes are unknown OpenVINO copies maps from one layout into another between convolutions
    and matrix products: for b0 at 480×640 in bfloat16 71 ms instead of 44. A size costs 0.3 s of
    compiling (b4: 2 s) when it comes first. Pictures of a batch run one by one, which is as fast,
    needs one plan for all batches, and gives the bits of single ones.

    Args:
        model: of pixels [B, C, H, W], any B, H and W.
        precision: "float32" or "bfloat16", of all that is no 8-bit product.
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
