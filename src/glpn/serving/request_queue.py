"""Bounded request queue.

Every waiting or running request holds a slot; a small thread pool runs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from glpn.serving.error_responses import no_free_worker, queue_full
from glpn.serving.limits import Limits

HALF_CLOSED = "glpn.half_closed"  # key that `server` sets in a request's scope

_Result = TypeVar("_Result")


class RequestQueue:
    """Bounds the requests in flight and runs them in a thread pool.

    The event loop never waits for a prediction, and no thread waits for the event loop.

    Args:
        limits: the number of requests that may wait, and the time that they may wait.
        workers: the number of requests that run at once.
    """

    def __init__(self, limits: Limits, *, workers: int) -> None:
        self._deadline = limits.deadline
        self.slots = limits.queue + workers
        self._taken = 0
        self._workers = ThreadPoolExecutor(workers, "predict")
        self._running: set[object] = set()

    @property
    def waiting(self) -> int:
        """Requests that hold a slot but are not running yet."""
        return max(self._taken - len(self._running), 0)

    @property
    def full(self) -> bool:
        """Whether `slot` would refuse."""
        return self._taken >= self.slots

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one slot until the response is ready.

        Raises:
            Refusal: 503, no slot is free.
        """
        if self.full:
            raise queue_full()
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def run(self, request: Request, work: Callable[[], _Result]) -> _Result:
        """Run `work()` in a thread, first come, first served.

        Raises:
            Refusal: 503, no worker became free before the deadline.
            ClientDisconnect: the client left. Work that had not begun is dropped; work that had
                begun is finished first.
        """
        job = self._workers.submit(self._run, work)
        deadline = asyncio.get_running_loop().call_later(self._deadline, job.cancel)
        departure = asyncio.ensure_future(_client_leaves(request))
        departure.add_done_callback(lambda _: job.cancel())
        try:
            result = await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            if not job.cancelled():
                raise
            if not departure.done():
                raise no_free_worker(self._deadline) from None
            raise ClientDisconnect from None
        finally:
            deadline.cancel()
            left = departure.done() and not request.scope.get(HALF_CLOSED)
            departure.cancel()
        if left:
            raise ClientDisconnect
        return result

    def _run(self, work: Callable[[], _Result]) -> _Result:
        token = object()
        self._running.add(token)
        try:
            return work()
        except SystemExit as e:  # only the main thread may end the process
            raise RuntimeError(f"a library called exit({e.code})") from e
        finally:
            self._running.discard(token)


async def _client_leaves(request: Request) -> None:
    """Return when the client has disconnected, or has closed its sending side."""
    while (await request.receive())["type"] != "http.disconnect":
        if request.scope.get(HALF_CLOSED):
            return
