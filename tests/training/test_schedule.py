"""Learning rates and the order of frames, against values worked by hand."""

from __future__ import annotations

import math

import pytest

from glpn.training.batches import Sampler
from glpn.training.optimiser import learning_rate
from glpn.training.options import ScheduleOptions
from glpn.training.recipe import read_recipe


def rates(options: ScheduleOptions, steps: int) -> list[float]:
    return [learning_rate(options, step, steps=steps) for step in range(steps)]


def test_published_curve() -> None:
    # s = 0, 1/4, 1/2, 3/4 of the run: 3e-5 + 7e-5 (2s)^0.9, then 1e-4 - 7e-5 (2s - 1)^0.9
    half = 0.5**0.9
    assert half == pytest.approx(0.535886731)
    expected = [3e-5, 3e-5 + 7e-5 * half, 1e-4, 1e-4 - 7e-5 * half]
    assert rates(ScheduleOptions(), 4) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("steps", [3, 100, 50_475, 151_444])
def test_published_curve_stays_within_its_bounds_whatever_the_number_of_steps(steps: int) -> None:
    curve = [
        learning_rate(ScheduleOptions(), s, steps=steps) for s in range(0, steps, 1 + steps // 50)
    ]
    assert min(curve) >= 3e-5
    assert max(curve) <= 1e-4
    assert learning_rate(ScheduleOptions(), steps - 1, steps=steps) < 1e-4


def test_published_curve_of_the_authors_code() -> None:
    """It rises over 12 of 25 epochs of 2,019 steps, and falls along the same power to the end."""
    options = read_recipe("nyu").schedule
    at = {step: learning_rate(options, step, steps=50_475) for step in (12_114, 24_228, 36_342)}
    assert at[24_228] == 1e-4
    assert at[12_114] == pytest.approx(3e-5 + 7e-5 * 0.5**0.9, rel=1e-9)
    # (36342 / 24228 - 1)^0.9 = 0.5^0.9, since end_rate is rounded to four digits, to 1e-3
    assert at[36_342] == pytest.approx(1e-4 - 7e-5 * 0.5**0.9, rel=1e-3)
    last = learning_rate(options, 50_474, steps=50_475)
    assert last == pytest.approx(1e-4 - 7e-5 * (50_475 / 24_228 - 1) ** 0.9, rel=1e-3)
    assert round(last, 7) == 2.48e-5


def test_one_cycle_curve() -> None:
    options = ScheduleOptions(kind="one-cycle", rate=1.0, start_rate=0.2, end_rate=0.0)
    curve = rates(options, 20)
    assert curve[0] == pytest.approx(0.2)
    assert curve[3] == pytest.approx(0.6)  # half-way up the first 0.3
    assert curve[6] == pytest.approx(1.0)
    assert curve[13] == pytest.approx(0.5)  # half-way down the rest


def test_cosine_and_constant_curves() -> None:
    cosine = ScheduleOptions(kind="cosine", rate=1.0, end_rate=0.0)
    assert rates(cosine, 4) == pytest.approx(
        [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2]
    )
    assert rates(ScheduleOptions(kind="constant", rate=0.3), 3) == [0.3] * 3


def test_warm_up_rises_from_nothing_to_the_curve() -> None:
    options = ScheduleOptions(kind="constant", rate=1.0, warmup=4)
    assert rates(options, 6) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])


def test_steps_come_from_the_frames_that_there_are() -> None:
    assert Sampler(frames=24_231, batch=12, seed=0).steps(25) == 50_482  # 605,775 / 12 = 50,481.25
    assert Sampler(frames=24_231, batch=4, seed=0).steps(25) == 151_444
    assert Sampler(frames=3, batch=8, seed=0).steps(2) == 1


def test_each_epoch_holds_every_frame_once_in_an_order_of_its_own() -> None:
    order = Sampler(frames=10, batch=4, seed=3)
    draws = [draw for step in range(order.steps(2)) for draw in order.draws(step)]
    first, second = ([i for e, i in draws if e == epoch] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert order.draws(2) == Sampler(frames=10, batch=4, seed=3).draws(2)
    assert order.draws(2) != Sampler(frames=10, batch=4, seed=4).draws(2)


def test_epochs_end_with_the_step_that_holds_their_last_frame() -> None:
    order = Sampler(frames=10, batch=4, seed=0)  # passes end within the 3rd, 5th and 8th step
    assert [step for step in range(9) if order.ends_epoch(step)] == [3, 5, 8]
    small = Sampler(frames=2, batch=4, seed=0)
    assert [step for step in range(4) if small.ends_epoch(step)] == [1, 2, 3]
