"""Several at a time: the order, the bound, and what an end leaves behind."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from glpn.jobs import in_order


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_answers_come_in_the_order_of_the_items(threads):
    def work(i):
        time.sleep(0.002 * (i % 3))
        return i * i

    assert list(in_order(work, range(40), threads=threads)) == [i * i for i in range(40)]


def test_items_are_taken_as_needed():
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    with closing(in_order(abs, items(), threads=2)) as answers:
        next(answers)
    assert len(taken) <= 8  # four for each thread


def test_all_threads_work_at_once():
    together = threading.Barrier(3, timeout=5)
    assert list(in_order(lambda _: together.wait() >= 0, range(9), threads=3)) == [True] * 9


def test_an_error_of_the_work_is_raised_and_what_has_begun_is_finished():
    finished = []

    def work(i):
        if i == 3:
            raise KeyError(i)
        time.sleep(0.01)
        finished.append(i)
        return i

    answers = in_order(work, range(100), threads=2)
    with pytest.raises(KeyError):
        list(answers)
    assert {0, 1, 2} <= set(finished) and len(finished) < 20
