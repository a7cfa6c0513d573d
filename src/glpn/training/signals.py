"""SIGINT and SIGTERM as a request that the training loop honours between two steps."""

from __future__ import annotations

from contextlib import ExitStack

from glpn.concurrency import stop_signals


class StopRequested(Exception):
    """Raised by `StopSignals.pause` where work can be given up."""


class StopSignals:
    """Remembers the first SIGINT or SIGTERM inside the context; a second one acts at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._stack = ExitStack()

    def __enter__(self) -> StopSignals:
        self._stack.enter_context(stop_signals(self._remember, once=True))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pause(self) -> None:
        """Raise StopRequested if a signal came; for places where long work can be given up."""
        if self.received is not None:
            raise StopRequested

    def _remember(self, number: int) -> None:
        self.received = number
