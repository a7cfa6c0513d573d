"""OpenVINO's compiled models: one for each size of the input, shared by threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import islice
from queue import LifoQueue
from typing import TYPE_CHECKING, TypeAlias

import openvino

if TYPE_CHECKING:
    _Requests: TypeAlias = LifoQueue[openvino.InferRequest]

# Without a hint, OpenVINO chooses bfloat16 on CPUs that support it.
_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class CompiledModels:
    """The network compiled for each size of its input; the latest sizes are kept.

    Compiled for unknown sizes, OpenVINO copies maps from one layout to another between convolutions
    and matrix products: 71 ms instead of 44 for b0 at 480×640 in bfloat16. Compiling takes 0.3 s
    for each new size (b4: 2 s). The images of a batch run one by one. That is as fast, needs one
    compiled model for all batch sizes, and gives the same bits as single images.

    Args:
        model: takes pixels [B, C, H, W] with any B, H and W.
        precision: "float32" or "bfloat16", of everything that is not an 8-bit product.
        threads: CPU threads of one run.
        capacity: how many compiled models are kept.
        concurrency: runs at a time. Two runs on one core each predict more images per second than
            one run on two cores (`benchmarks/folder.py`).
    """

    def __init__(
        self,
        model: openvino.Model,
        precision: str,
        *,
        threads: int,
        capacity: int,
        concurrency: int = 1,
    ) -> None:
        self._model = model
        hint = {"NUM_STREAMS": concurrency} if concurrency > 1 else {"PERFORMANCE_HINT": "LATENCY"}
        self._options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads * concurrency,
            **hint,
        }
        self._capacity, self._concurrency = capacity, concurrency
        self._prepared: frozenset[tuple[int, int]] | None = None
        self._idle: OrderedDict[tuple[int, ...], Future[_Requests]] = OrderedDict()
        self._changing = threading.Lock()

    def prepare_sizes(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Compile only for these (height, width), at most `capacity` of them.

        All other sizes share one slower compiled model, so that an image of a new size does not
        delay the others.
        """
        self._prepared = frozenset(islice(dict.fromkeys(sizes), self._capacity))

    @contextmanager
    def request(self, shape: tuple[int, ...]) -> Iterator[openvino.InferRequest]:
        """Lend an infer request for inputs [1, C, H, W] of this shape; wait until one is idle."""
        known = self._prepared is None or shape[2:] in self._prepared
        idle = self._idle_requests(shape if known else (*shape[:2], -1, -1))
        request = idle.get()
        try:
            yield request
        finally:
            idle.put(request)

    def _idle_requests(self, shape: tuple[int, ...]) -> _Requests:
        """Idle infer requests for this shape.

        The first caller compiles the model; concurrent callers wait.
        """
        with self._changing:
            future = self._idle.get(shape)
            missing = future is None
            if future is None:
                future = self._idle[shape] = Future()
                while len(self._idle) > self._capacity + (self._prepared is not None):
                    self._idle.popitem(last=False)
            self._idle.move_to_end(shape)
        if missing:
            try:
                future.set_result(self._new_requests(shape))
            except BaseException as e:
                future.set_exception(e)
                with self._changing:
                    self._idle.pop(shape, None)
        return future.result()

    def _new_requests(self, shape: tuple[int, ...]) -> _Requests:
        compiled = self.compile(shape)
        requests: _Requests = LifoQueue()  # the memory of the latest request is still in the cache
        for _ in range(self._concurrency):
            requests.put(compiled.create_infer_request())
        return requests

    def compile(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        """Compile the network for inputs of this shape, without keeping it; -1 is any size."""
        with self._changing:
            model = self._model.clone()
        model.reshape(list(shape))
        return openvino.Core().compile_model(model, "CPU", self._options)
