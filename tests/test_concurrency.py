"""Ordered parallel maps, prefetching and signal handlers."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from glpn.concurrency import map_ordered, prefetch, stop_signals


@pytest.mark.parametrize("threads", [0, 1, 2, 7])
def test_answers_come_in_the_order_of_the_items(threads: int) -> None:
    def work(i: int) -> int:
        time.sleep(0.002 * (i % 3))
        return i * i

    assert list(map_ordered(work, range(40), threads=threads)) == [i * i for i in range(40)]


def test_items_are_taken_as_needed() -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    with closing(map_ordered(abs, items(), threads=2)) as answers:
        next(answers)
    assert len(taken) <= 8  # four for each thread


def test_all_threads_work_at_once() -> None:
    together = threading.Barrier(3, timeout=5)
    assert list(map_ordered(lambda _: together.wait() >= 0, range(9), threads=3)) == [True] * 9


def test_an_error_of_the_work_is_raised_and_what_has_begun_is_finished() -> None:
    finished = []

    def work(i: int) -> int:
        if i == 3:
            raise KeyError(i)
        time.sleep(0.01)
        finished.append(i)
        return i

    answers = map_ordered(work, range(100), threads=2)
    with pytest.raises(KeyError):
        list(answers)
    assert {0, 1, 2} <= set(finished) and len(finished) < 20


def test_prefetching_keeps_the_order_and_stays_a_few_items_ahead() -> None:
    read = []

    def source() -> Iterator[int]:
        for i in range(100):
            read.append(i)
            yield i

    items = prefetch(source(), name="test")
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert len(read) <= 8
    assert list(prefetch(range(50), name="test")) == list(range(50))


def test_prefetching_raises_the_error_of_its_source_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("second")

    items = prefetch(source(), name="test")
    assert next(items) == 1
    with pytest.raises(KeyError, match="second"):
        next(items)


def test_closing_a_prefetch_closes_its_source() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    items = prefetch(source(), name="test")
    next(items)
    items.close()
    assert closed.is_set()


def test_stop_signals_reach_the_action_and_the_previous_handler_returns() -> None:
    """In a process of its own: a worker that runs many tests may not be in its main thread."""
    script = """
        import signal
        from glpn.concurrency import stop_signals

        received = []
        before = signal.getsignal(signal.SIGTERM)
        with stop_signals(received.append):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM, signal.SIGTERM], received
        assert signal.getsignal(signal.SIGTERM) is before
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_stop_signals_do_nothing_outside_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def listen() -> None:
        with stop_signals(found.append):
            found.append(signal.getsignal(signal.SIGTERM) is before)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [True]
