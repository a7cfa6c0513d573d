"""The bounded queue: a place for every request that may come in, a worker for a few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio
import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from glpn.serving.limits import Limits, Refusal

RETRY_AFTER = {"Retry-After": "1"}  # seconds; a place is free after one prediction

_Result = TypeVar("_Result")


class Desk:
    """Gives places and turns. The event loop never waits for a prediction.

    Args:
        limits: how many may wait, and for how long.
        workers: pictures in work at once.
    """

    def __init__(self, limits: Limits, *, workers: int) -> None:
        self._deadline = limits.deadline
        self._places = anyio.CapacityLimiter(limits.queue + workers)
        self._workers = anyio.CapacityLimiter(workers)

    @property
    def waiting(self) -> int:
        """Requests that have a place and are not in work: they arrive, or wait for a turn."""
        return int(self._places.borrowed_tokens - self._workers.borrowed_tokens)

    @property
    def full(self) -> bool:
        """Whether `place` would refuse."""
        return self._places.available_tokens <= 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place, from before the body is read until the answer is made.

        Raises:
            Refusal: 503, all are taken.
        """
        token = object()
        try:
            self._places.acquire_on_behalf_of_nowait(token)
        except anyio.WouldBlock:
            raise all_taken() from None
        try:
            yield
        finally:
            self._places.release_on_behalf_of(token)

    async def run(self, request: Request, work: Callable[[], _Result]) -> _Result:
        """`work()` in a thread, when its turn comes, in the order of asking.

        Raises:
            Refusal: 503, its turn did not come before the deadline.
            ClientDisconnect: the client left; work that had not begun never does.
        """
        results: list[_Result] = []
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when_gone, request, group.cancel_scope)
            try:
                results.append(await self._turn(work))
            except Exception as e:  # a task group would wrap it
                failure = e
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if not results:
            raise ClientDisconnect
        return results[0]

    async def _turn(self, work: Callable[[], _Result]) -> _Result:
        token = object()
        try:
            with anyio.fail_after(self._deadline):
                await self._workers.acquire_on_behalf_of(token)
        except TimeoutError:
            message = f"busy: no turn within {self._deadline:g} s"
            raise Refusal(503, message, RETRY_AFTER) from None
        try:
            return await anyio.to_thread.run_sync(work)  # once begun it ends, whoever leaves
        finally:
            self._workers.release_on_behalf_of(token)


def all_taken() -> Refusal:
    """What a request is told that gets no place."""
    return Refusal(503, "busy: all places are taken", RETRY_AFTER)


async def _cancel_when_gone(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
