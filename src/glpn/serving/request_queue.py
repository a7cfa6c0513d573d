"""The bounded queue: a place for every request that may come in, a worker for a few of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from glpn.serving.limits import Limits, Refusal

RETRY_AFTER = {"Retry-After": "1"}  # seconds; a place is free after one prediction

_Result = TypeVar("_Result")


class Desk:
    """Gives places and turns. The event loop never waits for a prediction, nor a worker for it.

    Args:
        limits: how many may wait, and for how long.
        workers: pictures in work at once.
    """

    def __init__(self, limits: Limits, *, workers: int) -> None:
        self._deadline = limits.deadline
        self._free = limits.queue + workers  # places
        self._taken = 0
        self._workers = ThreadPoolExecutor(workers, "picture")
        self._in_work: set[object] = set()

    @property
    def waiting(self) -> int:
        """Requests that have a place and are not in work: they arrive, or wait for a turn."""
        return max(self._taken - len(self._in_work), 0)

    @property
    def full(self) -> bool:
        """Whether `place` would refuse."""
        return self._taken >= self._free

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place, from before the body is read until the answer is made.

        Raises:
            Refusal: 503, all are taken.
        """
        if self.full:
            raise all_taken()
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def run(self, request: Request, work: Callable[[], _Result]) -> _Result:
        """`work()` in a thread, when its turn comes, in the order of asking.

        Raises:
            Refusal: 503, its turn did not come before the deadline.
            ClientDisconnect: the client left; work that had not begun never does.
        """
        turn = self._workers.submit(self._do, work)
        deadline = asyncio.get_running_loop().call_later(self._deadline, turn.cancel)
        leaving = asyncio.ensure_future(_gone(request))
        leaving.add_done_callback(lambda _: turn.cancel())  # what has begun ends, whoever leaves
        try:
            result = await asyncio.wrap_future(turn)
        except asyncio.CancelledError:
            if not turn.cancelled():
                raise
            if not leaving.done():
                message = f"busy: no turn within {self._deadline:g} s"
                raise Refusal(503, message, RETRY_AFTER) from None
        finally:
            deadline.cancel()
            left = leaving.done()
            leaving.cancel()
        if left:
            raise ClientDisconnect
        return result

    def _do(self, work: Callable[[], _Result]) -> _Result:
        token = object()
        self._in_work.add(token)
        try:
            return work()
        finally:
            self._in_work.discard(token)


def all_taken() -> Refusal:
    """What a request is told that gets no place."""
    return Refusal(503, "busy: all places are taken", RETRY_AFTER)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
