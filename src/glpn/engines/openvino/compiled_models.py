"""OpenVINO's plans: a network compiled for each size of its input, run by several threads."""

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
        concurrency: runs at a time. Two runs on one core each predict more images per second than
            one run on two cores (`benchmarks/folder.py`).
    """

    def __init__(
        self,
        model: openvino.Model,
        precision: str,
        *,
        threads: int,
        most: int,
        concurrency: int = 1,
    ) -> None:
        self._model = model
        self._options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads * concurrency,
            **(
                {"NUM_STREAMS": concurrency} if concurrency > 1 else {"PERFORMANCE_HINT": "LATENCY"}
            ),
        }
        self._most, self._concurrency = most, concurrency
        self._expected: frozenset[tuple[int, int]] | None = None
        self._plans: OrderedDict[tuple[int, ...], Future[_Requests]] = OrderedDict()
        self._changing = threading.Lock()

    def expect(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Compile for these (height, width) alone, as many as are kept.

        All other sizes share one plan, which is slower: no picture of a new size has others wait.
        """
        self._expected = frozenset(islice(dict.fromkeys(sizes), self._most))

    @contextmanager
    def request(self, shape: tuple[int, ...]) -> Iterator[openvino.InferRequest]:
        """Lend what runs an input [1, C, H, W] of this shape; waits until one is free."""
        known = self._expected is None or shape[2:] in self._expected
        free = self._requests(shape if known else (*shape[:2], -1, -1))
        request = free.get()
        try:
            yield request
        finally:
            free.put(request)

    def _requests(self, shape: tuple[int, ...]) -> _Requests:
        """Those of a plan that are free; the first to ask makes it, and who asks then waits."""
        with self._changing:
            plan = self._plans.get(shape)
            missing = plan is None
            if plan is None:
                plan = self._plans[shape] = Future()
                while len(self._plans) > self._most + (self._expected is not None):
                    self._plans.popitem(last=False)
            self._plans.move_to_end(shape)
        if missing:
            try:
                plan.set_result(self._made(shape))
            except BaseException as e:
                plan.set_exception(e)
                with self._changing:
                    self._plans.pop(shape, None)
        return plan.result()

    def _made(self, shape: tuple[int, ...]) -> _Requests:
        plan = self.compiled(shape)
        free: _Requests = LifoQueue()  # the latest one's memory is still in the cache
        for _ in range(self._concurrency):
            free.put(plan.create_infer_request())
        return free

    def compiled(self, shape: tuple[int, ...]) -> openvino.CompiledModel:
        """The network for inputs of this shape, not kept; -1 is any height or width."""
        with self._changing:
            model = self._model.clone()
        model.reshape(list(shape))
        return openvino.Core().compile_model(model, "CPU", self._options)
