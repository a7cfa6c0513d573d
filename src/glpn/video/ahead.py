"""Work ahead: a generator that runs in a thread of its own, a few items before they are wanted."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import closing, suppress
from typing import Any, TypeVar

T = TypeVar("T")

ITEMS_AHEAD = 4
_POLL = 0.1  # seconds after which the thread looks whether anybody still listens
_END = object()


def ahead(items: Generator[T, None, None], *, name: str) -> Generator[T, None, None]:
    """The same items, made in a thread at most ITEMS_AHEAD before they are wanted.

    Close the generator if it is left early; it closes `items`, whose errors it raises.

    Args:
        items: closed by the thread.
        name: of the thread.
    """
    ready: queue.Queue[Any] = queue.Queue(ITEMS_AHEAD)
    gone = threading.Event()

    def put(item: Any) -> None:
        while not gone.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=_POLL)
                return

    def work() -> None:
        try:
            with closing(items):
                for item in items:
                    put(item)
                    if gone.is_set():
                        return
            put(_END)
        except Exception as e:  # raised again where the items are used
            put(e)

    thread = threading.Thread(target=work, name=f"glpn-{name}", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        gone.set()
        thread.join()
