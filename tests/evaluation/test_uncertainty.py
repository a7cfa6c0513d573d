"""Sparsification and calibration: perfect maps score 0, useless ones what theory says."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from glpn.errors import DataError, UsageError
from glpn.evaluation.uncertainty import ONE_SIGMA, calibration, sparsification


def scene(count: int = 50000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.uniform(1, 9, count)
    sigma = rng.uniform(0.05, 0.5, count)
    return target + rng.normal(0, sigma), target, sigma


def test_an_uncertainty_equal_to_the_error_is_the_oracle() -> None:
    prediction, target, _ = scene()
    for metric, error in (
        ("rmse", np.abs(prediction - target)),
        ("abs_rel", np.abs(prediction - target) / target),
    ):
        curve = sparsification(prediction, target, error, metric=metric)
        assert curve.ause == 0 and np.array_equal(curve.error, curve.oracle)
        assert np.all(np.diff(curve.oracle) <= 0)


def test_curves_equal_the_metric_of_the_pixels_that_remain() -> None:
    prediction, target, sigma = scene(1000)
    curve = sparsification(prediction, target, sigma, metric="rmse")
    assert curve.removed.tolist() == [i / 50 for i in range(50)]
    for step in (0, 10, 49):
        kept = np.argsort(sigma)[: 1000 - 20 * step]
        expected = math.sqrt(np.mean((prediction[kept] - target[kept]) ** 2))
        assert curve.error[step] == pytest.approx(expected)
    relative = sparsification(prediction, target, sigma, metric="abs_rel")
    assert relative.error[0] == pytest.approx(np.mean(np.abs(prediction - target) / target))


def test_the_area_is_that_between_the_curves() -> None:
    prediction, target, sigma = scene(5000)
    curve = sparsification(prediction, target, sigma)
    gap = curve.error - curve.oracle
    by_hand = sum((a + b) / 2 * 0.02 for a, b in pairwise(gap))
    assert curve.ause == pytest.approx(by_hand)
    assert curve.ause_relative == pytest.approx(by_hand / curve.error[0])


def test_a_telling_map_beats_a_random_one_and_that_an_inverted_one() -> None:
    prediction, target, sigma = scene()
    shuffled = np.random.default_rng(1).permutation(sigma)
    areas = [sparsification(prediction, target, s).ause for s in (sigma, shuffled, 1 - sigma)]
    assert 0 < areas[0] < areas[1] < areas[2]
    random = sparsification(prediction, target, shuffled)
    assert np.allclose(random.error, random.error[0], rtol=0.1)  # removing at random gains nothing


def test_only_the_order_of_the_map_counts_for_sparsification() -> None:
    prediction, target, sigma = scene(2000)
    scaled = sparsification(prediction, target, sigma * 7)
    assert scaled.ause == sparsification(prediction, target, sigma).ause


def test_a_right_map_covers_what_it_promises() -> None:
    found = calibration(*scene())
    assert found.within_one_sigma == pytest.approx(ONE_SIGMA, abs=0.01)
    assert abs(ONE_SIGMA - 0.6827) < 1e-4
    assert np.allclose(found.observed, found.levels, atol=0.01)
    assert found.error < 0.005 and found.scale == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_map_that_is_too_sure_or_unsure_says_by_how_much(factor: float) -> None:
    prediction, target, sigma = scene()
    found = calibration(prediction, target, sigma * factor)
    assert found.scale == pytest.approx(1 / factor, rel=0.01)
    expected = math.erf(factor / math.sqrt(2))  # Gaussian errors within factor · sigma
    assert found.within_one_sigma == pytest.approx(expected, abs=0.01)
    assert found.error > 0.1


def test_a_sigma_of_zero_covers_only_an_exact_depth() -> None:
    found = calibration(np.array([2.0, 3.0]), np.array([2.0, 2.0]), np.zeros(2))
    assert found.within_one_sigma == 0.5 and set(found.observed) == {0.5}


def test_impossible_vectors_are_refused() -> None:
    ones = np.ones(4)
    for bad in ((ones, ones, ones[:3]), (ones[:0],) * 3, (np.ones((2, 2)),) * 3):
        with pytest.raises(DataError, match="three vectors"):
            calibration(*bad)
    with pytest.raises(DataError, match="sigma must be finite"):
        calibration(ones, ones, -ones)
    with pytest.raises(DataError, match="target above 0"):
        sparsification(ones, ones * 0, ones)
    with pytest.raises(UsageError, match="rmse or abs_rel"):
        sparsification(ones, ones, ones, metric="delta1")
