"""Smoothing over time acts on what stands still and not on what moves."""

from __future__ import annotations

import numpy as np

from glpn.video.smoothing import STRENGTH, ChangeDetector, FlickerMeter, Smoother
from tests.video.videos import noisy, ramp


def test_a_static_noisy_scene_flickers_less_than_half() -> None:
    rng = np.random.default_rng(0)
    watch, smoother, before, after = ChangeDetector(), Smoother(), FlickerMeter(), FlickerMeter()
    for _ in range(40):
        change = watch(noisy(ramp(), rng, 5))
        metres = np.exp(rng.normal(1, 0.05, (48, 64))).astype(np.float32)
        before.add(metres, change)
        after.add(smoother(metres, change), change)
    assert abs(before.value - 0.05 * 2 / np.sqrt(np.pi)) < 0.002  # E|a - b| of two normals
    assert after.value < before.value / 2


def test_a_cut_is_detected_without_lag() -> None:
    rng = np.random.default_rng(1)
    watch, smoother = ChangeDetector(), Smoother()
    for index in range(20):
        here = ramp() if index < 10 else 255 - ramp()[:, ::-1] // 2
        metres = np.full((48, 64), 2.0 if index < 10 else 7.0, np.float32)
        change = watch(noisy(here, rng, 3))
        assert change.cut == (index in (0, 10))
        assert np.allclose(smoother(metres, change), metres, rtol=1e-6)


def test_a_moved_square_is_not_smoothed_and_the_wall_behind_it_is() -> None:
    rng = np.random.default_rng(2)
    watch, smoother = ChangeDetector(), Smoother()
    for index in range(12):
        photo, metres = ramp(), np.full((48, 64), 4.0, np.float32)
        metres[:, 32:] += np.float32(0.1 * (index % 2))  # flickers
        left = 4 + index
        photo[16:28, left : left + 8] = 250
        metres[16:28, left : left + 8] = 1.0
        smooth = smoother(metres, watch(noisy(photo, rng, 2)))
        moved = smooth[16:28, 4 + index + 7]  # the leading edge has only just come here
        assert np.array_equal(moved, metres[16:28, 4 + index + 7])
    assert 0 < abs(float(smooth[40, 50]) - 4.05) < 0.03


def test_where_the_camera_moves_its_plain_walls_move_too() -> None:
    watch = ChangeDetector()
    stripes = np.tile(np.repeat([60, 180], 8), 20)
    for index in range(6):
        photo = np.full((48, 64, 3), 120, np.uint8)
        photo[:40] = stripes[None, 5 * index : 5 * index + 64, None]
        weight = watch(photo).weight
    assert weight[46].min() == 1


def test_slow_drift_adds_up_until_it_is_detected() -> None:
    watch, weights = ChangeDetector(), []
    for index in range(40):
        photo = ramp()
        photo[:, :16] += np.uint8(index // 2)  # a level in two frames, which alone is noise
        weights.append(watch(photo).weight)
    assert not np.any(weights[1:4])
    assert np.max(weights[4:], axis=0)[:, :12].min() > 0
    assert not np.any(np.array(weights[1:])[:, :, 24:])


def test_smoothing_follows_the_formula() -> None:
    watch, smoother = ChangeDetector(), Smoother()
    still = ramp()
    smoother(np.full((48, 64), 1.0, np.float32), watch(still))
    smooth = smoother(np.full((48, 64), np.e, np.float32), watch(still))
    assert np.allclose(np.log(smooth), STRENGTH, atol=1e-6)


def test_flicker_has_no_figure_for_one_frame() -> None:
    meter = FlickerMeter()
    meter.add(np.ones((48, 64), np.float32), ChangeDetector()(ramp()))
    assert meter.value is None
