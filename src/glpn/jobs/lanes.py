"""Lanes: several pictures at a time, answers in order, a bounded number on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

_AHEAD = 4  # pictures for each thread that may be on the way or wait for a slower one before them


def in_order(
    work: Callable[[S], T], items: Iterable[S], *, threads: int
) -> Generator[T, None, None]:
    """`map(work, items)` on so many threads; one thread is the caller's own.

    Items are taken as they are needed. When it is closed, or `work` raises, what has begun is
    finished and the rest is not begun.
    """
    if threads <= 1:
        yield from map(work, items)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads, "glpn-lane") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) >= _AHEAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
