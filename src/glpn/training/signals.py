"""SIGINT and SIGTERM as a wish that the loop grants between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequested(Exception):
    """Raised by `StopSignals.pause` where work can be given up."""


class StopSignals:
    """Remembers the first SIGINT or SIGTERM while the context lasts; a second one acts at once.

    Outside the main thread, where Python lets nobody listen, nothing is ever received.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def pause(self) -> None:
        """Where long work can be given up: raises StopRequested if a signal came."""
        if self.received is not None:
            raise StopRequested

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
