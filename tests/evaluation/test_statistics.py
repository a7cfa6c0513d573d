"""Intervals contain the truth as often as they say, and paired tests find what is there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from glpn.errors import DataError
from glpn.evaluation.metrics import METRIC_NAMES, pixel_sums
from glpn.evaluation.statistics import mean_intervals, paired_differences, pooled_intervals

REPETITIONS = 2000

# Shapes that per-image errors take: even, skewed as AbsRel and RMSE are, crowded at 1 as deltas.
SHAPES = {
    "normal": (lambda rng, size: rng.normal(1.0, 0.3, size), 1.0),
    "gamma": (lambda rng, size: rng.gamma(2.0, 0.05, size), 0.1),
    "exponential": (lambda rng, size: rng.exponential(0.3, size), 0.3),
    "lognormal": (lambda rng, size: rng.lognormal(0.0, 0.75, size), math.exp(0.75**2 / 2)),
    "delta": (lambda rng, size: rng.beta(4.0, 0.6, size), 4 / 4.6),
}


def coverage(intervals: Any, truth: float) -> float:
    return np.mean([i.low <= truth <= i.high for i in intervals])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_of_100_images_contains_the_truth_93_to_97_percent_of_the_time(
    shape: str,
) -> None:
    draw, truth = SHAPES[shape]
    values = draw(np.random.default_rng(11), (100, REPETITIONS))
    intervals = mean_intervals(values)
    assert 0.93 <= coverage(intervals, truth) <= 0.97
    assert np.allclose([i.value for i in intervals], values.mean(axis=0))


@pytest.mark.slow
@pytest.mark.parametrize(("scenes", "images"), [(40, 5), (25, 8)])
def test_the_interval_covers_where_images_of_a_scene_resemble_each_other(
    scenes: int, images: int
) -> None:
    rng = np.random.default_rng(12)
    common = rng.lognormal(0, 0.4, (scenes, REPETITIONS)).repeat(images, axis=0)
    values = common * rng.lognormal(0, 0.3, (scenes * images, REPETITIONS))
    truth = math.exp(0.4**2 / 2 + 0.3**2 / 2)
    names = [f"scene{i // images}" for i in range(scenes * images)]
    assert 0.93 <= coverage(mean_intervals(values, names), truth) <= 0.97
    assert coverage(mean_intervals(values), truth) < 0.8  # what ignoring the scenes would cost


def test_a_seed_fixes_the_interval_and_another_moves_it_a_little() -> None:
    values = np.random.default_rng(0).gamma(2, 1, (100, 3))
    assert mean_intervals(values, seed=7) == mean_intervals(values, seed=7)
    a, b = mean_intervals(values, seed=7)[0], mean_intervals(values, seed=8)[0]
    assert a != b and abs(a.low - b.low) < 0.2 * (a.high - a.low)


def test_images_without_a_scene_stand_alone() -> None:
    values = np.random.default_rng(0).normal(1, 0.2, (50, 2))
    alone = mean_intervals(values)
    assert mean_intervals(values, [None] * 50) == alone
    assert mean_intervals(values, [f"s{i}" for i in range(50)]) == alone


def test_equal_images_give_an_interval_of_one_point() -> None:
    assert mean_intervals(np.full((20, 1), 0.25))[0] == (0.25, 0.25, 0.25)


def test_too_few_scenes_give_no_interval() -> None:
    value, low, high = mean_intervals(np.arange(20.0)[:, None], ["a", "b"] * 10)[0]
    assert value == 9.5 and math.isnan(low) and math.isnan(high)


@pytest.mark.parametrize(
    ("values", "scenes", "message"),
    [
        (np.zeros((0, 2)), None, "no image"),
        (np.array([[1.0], [np.nan]]), None, "image number 1"),
        (np.ones((3, 1)), ["a"], "3 images but 1 scenes"),
    ],
)
def test_unusable_scores_are_refused(values: Any, scenes: list[str] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        mean_intervals(values, scenes)


def maps(
    rng: np.random.Generator, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for _ in range(count):
        target = rng.uniform(1, 9, (8, 9))
        noise = rng.lognormal(rng.normal(0, 0.2), 0.1, target.shape)
        yield target * noise, target, rng.random(target.shape) < rng.uniform(0.2, 1)


def test_pooled_values_are_the_metrics_of_all_pixels_together() -> None:
    images = list(maps(np.random.default_rng(3), 60))
    scenes = [f"s{i % 24}" for i in range(60)]
    intervals = pooled_intervals([pixel_sums(*image) for image in images], scenes)
    together = pixel_sums(*(np.concatenate(parts) for parts in zip(*images, strict=True))).metrics()
    assert [i.value for i in intervals] == pytest.approx(list(together), rel=1e-12)
    assert all(i.low < i.value < i.high for i in intervals)


@pytest.mark.slow
def test_pooled_intervals_keep_close_to_their_95_percent() -> None:
    rng = np.random.default_rng(4)
    many = [pixel_sums(*image) for image in maps(rng, 5_000)]
    total = many[0]
    for part in many[1:]:
        total = total + part
    truth = total.metrics()
    hits = np.zeros(len(METRIC_NAMES))
    repetitions = 400
    for _ in range(repetitions):
        sample = [many[i] for i in rng.integers(0, len(many), 100)]
        hits += [i.low <= t <= i.high for i, t in zip(pooled_intervals(sample), truth, strict=True)]
    named = dict(zip(METRIC_NAMES, hits / repetitions, strict=True))
    assert all(0.9 <= share <= 0.98 for share in named.values()), named


@pytest.mark.slow
def test_a_paired_test_rejects_as_often_as_chance_where_nothing_differs() -> None:
    rng = np.random.default_rng(5)
    first = rng.gamma(2, 1, (100, REPETITIONS))
    differences = paired_differences(first, first + rng.normal(0, 0.3, first.shape))
    assert 0.03 <= np.mean([d.p_value < 0.05 for d in differences]) <= 0.07
    assert 0.93 <= coverage(differences, 0.0) <= 0.97


def test_a_paired_test_finds_a_small_steady_gain_that_unpaired_intervals_hide() -> None:
    rng = np.random.default_rng(6)
    first = rng.gamma(2, 0.05, (100, 1))
    second = first * 0.95 + rng.normal(0, 0.003, first.shape)
    (difference,) = paired_differences(first, second)
    assert difference.value == pytest.approx((second - first).mean())
    assert difference.high < 0 and difference.p_value < 0.001
    (one,), (two,) = mean_intervals(first), mean_intervals(second)
    assert one.low < two.high  # the two intervals overlap


def test_the_p_value_is_below_5_percent_just_where_the_interval_excludes_0() -> None:
    rng = np.random.default_rng(8)
    first = rng.beta(4.0, 0.6, (40, 300))
    second = first + rng.normal(0.01, 0.03, first.shape) * rng.gamma(1, 1, first.shape)
    found = paired_differences(first, second)
    excluded = np.array([not d.low <= 0 <= d.high for d in found])
    p_values = np.array([d.p_value for d in found])
    clear = np.abs(p_values - 0.05) > 0.001
    assert 0.1 < excluded.mean() < 0.9
    np.testing.assert_array_equal(excluded[clear], p_values[clear] < 0.05)


@pytest.mark.parametrize("images", [1, 10, 19])
def test_few_images_have_a_p_value_but_no_interval(images: int) -> None:
    scores = np.random.default_rng(9).beta(4.0, 0.6, (images, 2))
    (first, *_) = mean_intervals(scores)
    assert math.isnan(first.low) and math.isnan(first.high)
    (difference, *_) = paired_differences(scores, scores + 0.1)
    assert math.isnan(difference.low) and 0 < difference.p_value <= 1


def test_a_model_does_not_differ_from_itself() -> None:
    scores = np.random.default_rng(7).gamma(2, 1, (30, 2))
    assert paired_differences(scores, scores) == [(0.0, 0.0, 0.0, 1.0)] * 2


def test_scores_of_different_shapes_cannot_be_paired() -> None:
    with pytest.raises(DataError, match="cannot be paired"):
        paired_differences(np.ones((3, 2)), np.ones((4, 2)))


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 2.5e6])
def test_images_that_are_all_alike_have_an_interval_of_that_value(value: float) -> None:
    [found] = mean_intervals(np.full((20, 1), value))  # their mean may be off by rounding
    assert list(found) == pytest.approx([value] * 3, rel=1e-12)
