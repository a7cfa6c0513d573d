"""The service under overload, with clients that leave, and at shutdown."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import psutil
import pytest
from starlette.requests import ClientDisconnect, Request

import glpn
from glpn.errors import CheckpointError
from glpn.estimator import DepthEstimator
from glpn.serving.app import make_app
from glpn.serving.batcher import SharedEngine
from glpn.serving.error_responses import Refusal
from glpn.serving.limits import Limits
from glpn.serving.request_queue import RequestQueue
from tests.corpus.bytes_of import encoded, scene
from tests.serving.conftest import JPEG, wait_for

WORKERS = 4  # pictures in work at once, where the engine makes one prediction at a time
LARGE = encoded(np.kron(scene(), np.ones((12, 12, 1), np.uint8)), "JPEG")  # 1152x1536
HEAD = (
    "POST /v1/depth HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    f"Content-Length: {len(LARGE)}\r\n\r\n"
)


@pytest.mark.slow
def test_overload_gives_only_200_and_503_and_health_answers(start: Callable[..., Any]) -> None:
    with start("--queue", 1) as service, ThreadPoolExecutor(24) as clients:
        calls = [clients.submit(service.post, LARGE) for _ in range(24)]
        slowest = 0.0
        while not all(call.done() for call in calls):
            began = time.monotonic()
            assert service.get("/v2/health/live").status_code == 200
            slowest = max(slowest, time.monotonic() - began)
        answers = [call.result() for call in calls]
        assert {answer.status_code for answer in answers} == {200, 503}
        assert sum(answer.status_code == 200 for answer in answers) >= 1 + WORKERS
        assert all("retry-after" in a.headers for a in answers if a.status_code == 503)
        assert slowest < 10  # waiting for the whole queue would take longer
        assert service.post(LARGE).status_code == 200


@pytest.mark.slow
def test_sigterm_under_load_answers_every_accepted_request(start: Callable[..., Any]) -> None:
    with start() as service, ThreadPoolExecutor(10) as clients:
        calls = [clients.submit(service.post, LARGE) for _ in range(10)]
        wait_for(lambda: service.metric("glpn_queue_length") >= 10 - WORKERS)
        service.process.terminate()
        assert [call.result().status_code for call in calls] == [200] * 10
        assert service.process.wait(20) == 0
        with pytest.raises(httpx.ConnectError):
            service.get("/")


@pytest.mark.slow
def test_clients_that_leave_free_their_slots(start: Callable[..., Any]) -> None:
    with start("--queue", 8) as service:
        service.post(LARGE)
        files = psutil.Process(service.process.pid).num_fds()
        leaving = [service.connect() for _ in range(WORKERS + 8)]
        for connection in leaving[:-4]:
            connection.sendall(HEAD.encode() + LARGE)  # to be queued
        for connection in leaving[-4:]:
            connection.sendall(HEAD.encode() + LARGE[:1000])  # in the middle of the body
        wait_for(lambda: service.metric("glpn_queue_length") >= 4)
        for connection in leaving:
            connection.close()
        wait_for(lambda: service.metric("glpn_queue_length") == 0)
        assert service.post(LARGE, JPEG).status_code == 200
        wait_for(lambda: psutil.Process(service.process.pid).num_fds() <= files)
        wait_for(lambda: sum(line.get("status") == 499 for line in service.log) >= 4)


def request_of(*messages: str) -> Request:
    """A request whose client sends these messages, then nothing."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await anyio.sleep_forever()
        return {"type": left.pop(0)}

    return Request({"type": "http", "headers": []}, receive)


def failure_with_busy_workers(limits: Limits, request: Request) -> Exception:
    """Ask for a worker while all are busy; returns the error, after they are free again."""
    failures: list[Exception] = []
    ran: list[str] = []
    release = threading.Event()

    async def main() -> None:
        queue = RequestQueue(limits, workers=WORKERS)
        async with anyio.create_task_group() as group:
            for _ in range(WORKERS):
                group.start_soon(queue.run, request_of(), release.wait)
            await anyio.wait_all_tasks_blocked()
            try:
                await queue.run(request, lambda: ran.append("late"))
            except (Refusal, ClientDisconnect) as e:
                failures.append(e)
            finally:
                release.set()

    anyio.run(main)
    assert not ran
    return failures[0]


def test_work_that_does_not_begin_is_refused_at_the_deadline() -> None:
    failure = failure_with_busy_workers(Limits(deadline=0.1), request_of())
    assert isinstance(failure, Refusal) and "no worker became free" in str(failure)
    assert failure.status == 503 and "Retry-After" in failure.headers


def test_a_queue_is_full_exactly_while_it_refuses_slots() -> None:
    async def main() -> None:
        queue = RequestQueue(Limits(queue=0), workers=WORKERS)
        with ExitStack() as slots:
            for _ in range(WORKERS):
                assert not queue.full
                slots.enter_context(queue.slot())
            assert queue.full
            with pytest.raises(Refusal, match="queue is full"), queue.slot():
                pass
        assert not queue.full

    anyio.run(main)


def test_work_of_a_client_that_left_the_queue_never_starts() -> None:
    failure = failure_with_busy_workers(Limits(), request_of("http.disconnect"))
    assert isinstance(failure, ClientDisconnect)


def test_work_that_has_begun_finishes_after_its_client_left() -> None:
    ended: list[bool] = []

    async def main() -> None:
        begun, loop = asyncio.Event(), asyncio.get_running_loop()

        async def receive() -> dict[str, Any]:
            await begun.wait()
            return {"type": "http.disconnect"}

        def work() -> None:
            loop.call_soon_threadsafe(begun.set)
            time.sleep(0.2)  # the event loop learns meanwhile that the client is gone
            ended.append(True)

        request = Request({"type": "http", "headers": []}, receive)
        with pytest.raises(ClientDisconnect):
            await RequestQueue(Limits(), workers=1).run(request, work)
        assert ended

    anyio.run(main)


class Failing:
    """An engine that always fails with one error."""

    name = "failing"
    precision = "float32"

    def __init__(self, config: Any, error: Any) -> None:
        self.config = config
        self.error = error

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        raise self.error


class Meeting:
    """An engine whose calls return when as many of them have come together."""

    name = "meeting"
    precision = "float32"

    def __init__(self, config: Any, calls: Any) -> None:
        self.config = config
        self.together = threading.Barrier(calls, timeout=20)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.together.wait()
        return np.ones_like(pixels[:, 0])


@pytest.mark.slow
def test_predictions_run_side_by_side_where_the_engine_allows_it(model: Path) -> None:
    opened = glpn.load(model, threads=1)
    meeting = Meeting(opened.engine.config, 3)
    estimator = DepthEstimator(meeting, opened.processor, opened.provenance)
    answers = posted(make_app(estimator, Limits(), concurrency=3), count=3)
    assert [answer.json()["median"] for answer in answers] == [1.0] * 3


def posted(app: Any, *, count: int) -> list[httpx.Response]:
    """Responses to `count` photos at once, without a socket."""
    answers: list[httpx.Response] = []

    async def main() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
            anyio.create_task_group() as group,
        ):

            async def post() -> None:
                answers.append(await client.post("/v1/depth", content=LARGE, headers=JPEG))

            for _ in range(count):
                group.start_soon(post)

    anyio.run(main)
    return answers


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CheckpointError("/secret/model: NaN"), "the service cannot predict; see its log"),
        (RuntimeError("secret"), "internal error"),
        (SystemExit(3), "internal error"),
    ],
)
def test_a_defect_is_status_500_in_json_without_details(model: Path, error: Any, said: str) -> None:
    opened = glpn.load(model, threads=1)
    failing = Failing(opened.engine.config, error)
    app = make_app(DepthEstimator(failing, opened.processor, opened.provenance), Limits())
    (answer,) = posted(app, count=1)
    assert (answer.status_code, answer.json()) == (500, {"error": said})
    assert "default-src" in answer.headers["content-security-policy"]


@pytest.mark.slow
def test_requests_leave_no_file(start: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    with start(env={**os.environ, "TMPDIR": str(folder)}) as service:
        before = set(folder.iterdir())  # onnxruntime may have made one of its own at the start
        with service.connect() as connection:
            connection.sendall(HEAD.encode() + LARGE[:-1])
            assert service.get("/v2/health/live").status_code == 200  # the body is being read
            assert set(folder.iterdir()) == before
        for format in ("json", "npz", "vis", "exr"):
            assert service.post(LARGE, format=format).status_code == 200
        assert set(folder.iterdir()) == before


class Doubling:
    """An engine whose first call waits for `go`; records its batch sizes."""

    name = "doubling"
    precision = "float32"
    config = None

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(len(pixels))
        self.begun.set()
        assert self.go.wait(20)
        if pixels.max() > 100:
            raise ValueError("too bright")
        return 2 * pixels[:, 0]


def shared_calls(engine: Any, arrays: Any) -> list[Any]:
    """One call per thread; all wait until the first is done."""
    shared = SharedEngine(engine)
    with ThreadPoolExecutor(len(arrays)) as threads:
        calls = [threads.submit(shared, arrays[0])]
        assert engine.begun.wait(20)
        calls += [threads.submit(shared, array) for array in arrays[1:]]
        wait_for(lambda: len(shared._waiting) == len(arrays) - 1)
        engine.go.set()
        return [call.exception() or call.result() for call in calls]


def test_waiting_photos_of_one_size_share_a_batch() -> None:
    arrays = [np.full((1, 3, 4, 4 + n % 2), n, np.float32) for n in range(7)]
    engine = Doubling()
    for array, depth in zip(arrays, shared_calls(engine, arrays), strict=True):
        np.testing.assert_array_equal(depth, 2 * array[:, 0])
    assert sorted(engine.batches) == [1, 3, 3]  # the first; the odd; the other even


def test_an_error_reaches_only_the_photos_of_its_batch() -> None:
    arrays = [np.full((1, 3, 4, 4), n, np.float32) for n in (1, 2, 200)]
    first, *others = shared_calls(Doubling(), arrays)
    assert (first == 2).all() and all(isinstance(e, ValueError) for e in others)
