"""The metrics equal their formulas, and keep the properties that the formulas promise."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glpn.errors import DataError
from glpn.evaluation.metrics import METRIC_NAMES, pixel_sums


def by_hand(prediction: np.ndarray, target: np.ndarray, valid: np.ndarray) -> dict[str, float]:
    """Every formula once more, pixel by pixel, with exactly rounded sums."""
    pairs = [
        (float(p), float(t))
        for p, t, v in zip(prediction.flat, target.flat, valid.flat, strict=True)
        if v
    ]
    n = len(pairs)

    def mean(values: Any) -> float:
        return math.fsum(values) / n

    d = [math.log(t) - math.log(p) for p, t in pairs]
    mean_square = mean(x * x for x in d)
    mean_d = mean(d)
    return {
        "delta1": mean(max(t / p, p / t) < 1.25 for p, t in pairs),
        "delta2": mean(max(t / p, p / t) < 1.25**2 for p, t in pairs),
        "delta3": mean(max(t / p, p / t) < 1.25**3 for p, t in pairs),
        "abs_rel": mean(abs(p - t) / t for p, t in pairs),
        "sq_rel": mean((p - t) ** 2 / t for p, t in pairs),
        "rmse": math.sqrt(mean((p - t) ** 2 for p, t in pairs)),
        "rmse_log": math.sqrt(mean_square),
        "log10": mean(abs(math.log10(p) - math.log10(t)) for p, t in pairs),
        "silog_train": math.sqrt(mean_square - 0.5 * mean_d**2),
        "silog_kitti": math.sqrt(mean_square - mean_d**2) * 100,
    }


def scene(
    seed: int, shape: tuple[int, int] = (120, 160)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    target = rng.uniform(0.5, 9.5, shape).astype(np.float32)
    prediction = (target * rng.lognormal(0.05, 0.3, shape)).astype(np.float32)
    return prediction, target, rng.random(shape) < 0.7


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_equals_its_formula(seed: Any) -> None:
    prediction, target, valid = scene(seed)
    measured = pixel_sums(prediction, target, valid).metrics()._asdict()
    expected = by_hand(prediction, target, valid)
    assert list(measured) == list(METRIC_NAMES) == list(expected)
    for name, value in expected.items():
        assert measured[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name


def test_a_hand_worked_image() -> None:
    prediction = np.array([[1.0, 2.0], [4.0, 8.0]])
    target = np.array([[2.0, 2.0], [2.0, 8.0]])
    m = pixel_sums(prediction, target, np.ones((2, 2), bool)).metrics()
    assert (m.delta1, m.delta2, m.delta3) == (0.5, 0.5, 0.5)
    assert m.abs_rel == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert m.sq_rel == pytest.approx((0.5 + 0 + 2 + 0) / 4)
    assert m.rmse == pytest.approx(math.sqrt((1 + 4) / 4))
    assert m.rmse_log == pytest.approx(math.log(2) * math.sqrt(0.5))  # d = ln 2, 0, -ln 2, 0
    assert m.log10 == pytest.approx(math.log10(2) / 2)
    assert m.silog_train == pytest.approx(m.rmse_log)  # mean d = 0
    assert m.silog_kitti == pytest.approx(100 * m.rmse_log)


def test_a_ratio_of_exactly_the_threshold_is_outside() -> None:
    valid = np.ones((1, 2), bool)
    m = pixel_sums(np.array([[1.0, 1.25]]), np.array([[0.8, 1.0]]), valid).metrics()
    assert m.delta1 == 0 and m.delta2 == 1


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_a_perfect_prediction_scores_perfectly(seed: int) -> None:
    _, target, valid = scene(seed, (13, 17))
    valid[0, 0] = True
    assert pixel_sums(target, target, valid).metrics() == (1, 1, 1, 0, 0, 0, 0, 0, 0, 0)


@given(st.integers(0, 10**6), st.floats(0.2, 5))
@settings(max_examples=25, deadline=None)
def test_one_scale_factor_moves_only_the_scale_sensitive_metrics(seed: int, scale: float) -> None:
    _, target, valid = scene(seed, (13, 17))
    valid[0, 0] = True
    target = target.astype(np.float64)
    m = pixel_sums(target * scale, target, valid).metrics()
    assert m.silog_kitti == pytest.approx(0, abs=1e-9)
    assert m.abs_rel == pytest.approx(abs(scale - 1), abs=1e-12)
    assert m.rmse_log == pytest.approx(abs(math.log(scale)), abs=1e-12)
    assert m.silog_train == pytest.approx(math.sqrt(0.5) * abs(math.log(scale)), abs=1e-12)
    assert m.log10 == pytest.approx(abs(math.log10(scale)), abs=1e-12)


@given(st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_the_order_of_pixels_does_not_matter(seed: int) -> None:
    prediction, target, valid = (x.ravel() for x in scene(seed, (40, 50)))
    order = np.random.default_rng(seed).permutation(prediction.size)
    straight = pixel_sums(prediction, target, valid).metrics()
    shuffled = pixel_sums(prediction[order], target[order], valid[order]).metrics()
    assert shuffled == pytest.approx(straight, rel=1e-12)


def test_pooled_sums_equal_one_image_of_all_pixels() -> None:
    first, second = scene(1), scene(2, (90, 200))
    together = [np.concatenate([a.ravel(), b.ravel()]) for a, b in zip(first, second, strict=True)]
    pooled = (pixel_sums(*first) + pixel_sums(*second)).metrics()
    assert pooled == pytest.approx(pixel_sums(*together).metrics(), rel=1e-12)


def test_an_all_invalid_map_is_an_error_naming_the_frame() -> None:
    prediction, target, _ = scene(0)
    with pytest.raises(DataError, match="kitchen_07: no valid pixel"):
        pixel_sums(prediction, target, np.zeros(target.shape, bool), name="kitchen_07").metrics()


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_prediction_is_an_error_and_never_nan(bad: Any) -> None:
    prediction, target, valid = scene(0)
    valid[3, 4], prediction[3, 4] = True, bad
    with pytest.raises(DataError, match="hall: prediction must be finite and above 0"):
        pixel_sums(prediction, target, valid, name="hall").metrics()
    valid[3, 4] = False
    pixel_sums(prediction, target, valid).metrics()


def test_maps_of_different_shapes_are_refused() -> None:
    prediction, target, valid = scene(0)
    with pytest.raises(DataError, match=r"\(120, 159\)"):
        pixel_sums(prediction[:, 1:], target, valid).metrics()


@pytest.mark.slow
def test_a_full_frame_scores_in_under_15_ms() -> None:
    prediction, target, _ = scene(0, (480, 640))
    valid = np.ones(target.shape, bool)
    times = []
    for _ in range(50):
        start = time.perf_counter()
        pixel_sums(prediction, target, valid).metrics()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.015  # the least disturbed run: other processes only add
