"""One network for several threads: waiting photos of the same size run as one batch."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from glpn.engines.protocol import Engine

_Call = tuple[NDArray[np.float32], "Future[NDArray[np.float32]]"]


class SharedEngine:
    """An engine that threads may call at once. See `glpn.engines.protocol.Engine`.

    The network runs one batch after another. Each batch takes all waiting calls of its size, of
    which there is at most one per thread.

    Args:
        engine: runs the network; called by one thread at a time.
    """

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.config = engine.config
        self.precision = engine.precision
        self._engine = engine
        self._engine_lock = threading.Lock()
        self._waiting_lock = threading.Lock()
        self._waiting: list[_Call] = []

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict metres [B, H, W] from pixels, float32 [B, 3, H, W]; raises as the engine does."""
        result: Future[NDArray[np.float32]] = Future()
        with self._waiting_lock:
            self._waiting.append((pixels, result))
        with self._engine_lock:
            if not result.done():  # an earlier batch did not include this call
                self._run(self._take(pixels.shape))
        return result.result()

    def _take(self, shape: tuple[int, ...]) -> list[_Call]:
        """The waiting calls with the same shape, oldest first."""
        with self._waiting_lock:
            taken = [call for call in self._waiting if call[0].shape == shape]
            self._waiting = [call for call in self._waiting if call[0].shape != shape]
        return taken

    def _run(self, calls: list[_Call]) -> None:
        try:
            depth = self._engine(np.concatenate([pixels for pixels, _ in calls]))  # [B, H, W]
        except BaseException as e:
            for _, result in calls:
                result.set_exception(e)
            return
        counts = [len(pixels) for pixels, _ in calls]
        parts = np.split(depth, np.cumsum(counts)[:-1])
        for (_, result), part in zip(calls, parts, strict=True):
            result.set_result(part)
