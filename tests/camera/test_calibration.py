"""Calibration with references and known lengths: what was measured comes back, no nonsense."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn.camera.calibration import SHIFT_COST, fit_references
from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance
from glpn.depth.reading import read_depth
from glpn.errors import DataError, UsageError

SIZE = (120, 160)


def a_room() -> Depth:
    """Smooth metres from 1 to 5 that no plane fits, seen with 100 px of focal length."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    metres = 3 + 1.2 * np.sin(x / 23) + 0.8 * np.cos(y / 17)
    metres[:4, :4] = 0
    provenance = Provenance("m", "", "", "", max_depth=10.0, note="as it was")
    camera = Camera(100, 104, 78, 61, "given")
    return Depth(
        metres.astype(np.float32), camera, provenance, sigma=np.full(SIZE, 0.1, np.float32)
    )


def seen_wrongly(room: Depth, *, scale: float, zoom: float) -> Depth:
    """An estimate of the room whose metres and focal length are off by these factors."""
    camera = Camera(room.camera.fx * zoom, room.camera.fy * zoom, 78, 61, "assumed")
    return Depth(room.metres * np.float32(scale), camera, room.provenance)


def length(room: Depth, x0: float, y0: float, x1: float, y1: float) -> tuple[float, ...]:
    return x0, y0, x1, y1, room.between((x0, y0), (x1, y1))


# References


def test_one_reference_scales_everything_to_it() -> None:
    depth = a_room().with_references([(80, 60, 2 * a_room().at(80, 60))])
    np.testing.assert_allclose(depth.metres, 2 * a_room().metres, rtol=1e-6)
    assert depth.camera == a_room().camera
    np.testing.assert_allclose(depth.sigma, 0.2)
    assert depth.provenance.max_depth == pytest.approx(20)
    assert depth.provenance.note == "as it was; metres multiplied by 2 for 1 reference"


def test_several_references_of_one_scale_give_that_scale_and_no_shift() -> None:
    room = a_room()
    places = [(20, 30), (80, 60), (140, 100)]
    depth = room.with_references([(x, y, 1.3 * room.at(x, y)) for x, y in places])
    np.testing.assert_allclose(depth.metres, 1.3 * room.metres, rtol=1e-6)


def test_two_references_minimise_relative_errors_and_the_cost_of_the_shift() -> None:
    e, m = np.array([1.0, 3.0]), np.array([2.0, 4.0])
    fit = fit_references(e, m, nearest=0.5)

    def cost(scale: float, shift: float) -> float:
        misses = (scale * e + shift) / m - 1
        return float(misses @ misses) + SHIFT_COST * shift**2 / 8  # geometric mean √8, squared

    assert fit.shift > 0.3
    for step in (-1e-3, 1e-3):
        assert cost(*fit) < cost(fit.scale + step, fit.shift)
        assert cost(*fit) < cost(fit.scale, fit.shift + step)


def test_many_references_find_scale_and_shift() -> None:
    rng = np.random.default_rng(0)
    e = rng.uniform(1, 6, 2000)
    fit = fit_references(e, 1.4 * e + 0.5, nearest=1)
    assert fit == pytest.approx((1.4, 0.5), rel=0.01)


def test_references_at_one_depth_give_only_a_scale() -> None:
    # Three equal errors: the mean ratio is the scale, and nothing determines a shift.
    assert fit_references([2, 2, 2], [3, 3, 3], nearest=1) == pytest.approx((1.5, 0), abs=1e-9)


def test_references_that_would_reverse_depth_give_a_scale() -> None:
    fit = fit_references([1, 1.1, 4, 4.1], [4, 4, 1, 1], nearest=1)
    assert fit.scale > 0 and fit.shift == 0


def test_nothing_ends_behind_the_camera() -> None:
    # 2 e - 3 would put what is 1 m away at -1 m.
    e = np.linspace(3, 6, 400)
    assert fit_references(e, 2 * e - 3, nearest=2.5).shift < -2
    fit = fit_references(e, 2 * e - 3, nearest=1)
    assert fit.shift == 0 and 1 < fit.scale < 2


@pytest.mark.slow
@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=1, max_size=6))
def test_calibrated_metres_stay_above_zero_and_in_order(pairs: Any) -> None:
    e, m = zip(*pairs, strict=True)
    fit = fit_references(e, m, nearest=min(e))
    assert fit.scale > 0 and fit.scale * min(e) + fit.shift > 0


def test_unknown_pixels_stay_unknown_and_files_say_what_was_done(tmp_path: Path) -> None:
    depth = a_room().with_references([(20, 30, 2.0), (140, 100, 5.0), (80, 60, 3.0)])
    assert (depth.metres[:4, :4] == 0).all() and (depth.metres[4:] > 0).all()
    note = read_depth(depth.save(tmp_path / "a.png")).provenance.note
    assert note.startswith("as it was; metres multiplied by ")
    assert note.endswith(" m for 3 references")


@pytest.mark.parametrize(
    "bad",
    [
        [],
        [(1, 2)],
        [(1, 2, 0)],
        [(1, 2, -1)],
        [(1, 2, math.nan)],
        [(1, 2, math.inf)],
        [(80, 60, 2), (1, 2, 1e7)],
        [(math.nan, 2, 1)],
    ],
)
def test_invalid_references_are_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="references: expected"):
        a_room().with_references(bad)


def test_reference_outside_or_where_nothing_is_known_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\(160, 5\) is outside"):
        a_room().with_references([(160, 5, 2)])
    with pytest.raises(DataError, match=r"\(1, 1\) is unknown"):
        a_room().with_references([(1, 1, 2)])


# Known lengths


def test_one_known_length_sets_the_scale() -> None:
    room = a_room()
    depth = room.with_lengths([(20, 30, 140, 100, 7.5)])
    assert depth.between((20, 30), (140, 100)) == pytest.approx(7.5, rel=1e-6)
    assert depth.camera == room.camera
    assert depth.provenance.note.endswith("for 1 known length")


@given(st.floats(0.3, 3), st.floats(0.3, 3))
def test_a_length_across_and_one_away_from_the_camera_give_scale_and_focal_length(
    scale: float, zoom: float
) -> None:
    room = a_room()
    across, away = (20, 30, 20, 90), (36, 53, 110, 61)
    known = [length(room, *across), length(room, *away)]
    depth = seen_wrongly(room, scale=scale, zoom=zoom).with_lengths(known)
    assert (depth.camera.fx, depth.camera.fy) == pytest.approx((100, 104), rel=1e-3)
    assert (depth.camera.cx, depth.camera.cy) == (78, 61)
    np.testing.assert_allclose(depth.metres, room.metres, rtol=1e-3)
    for *places, metres in known:
        assert depth.between(places[:2], places[2:]) == pytest.approx(metres, rel=1e-5)


def test_more_lengths_are_weighed_by_their_relative_error() -> None:
    room = a_room()
    pairs = [(20, 30, 20, 90), (36, 53, 110, 61), (5, 100, 150, 20), (60, 10, 60, 110)]
    known = [length(room, *pair) for pair in pairs]
    depth = seen_wrongly(room, scale=0.7, zoom=1.4).with_lengths(known)
    assert depth.camera.fx == pytest.approx(100, rel=1e-3)
    assert depth.camera.source == "solved from 4 known lengths"
    assert depth.provenance.note.endswith("and focal length solved from 4 known lengths")


def test_lengths_that_all_lie_across_leave_the_focal_length_open() -> None:
    depth = Depth(np.full(SIZE, 2, np.float32), a_room().camera, a_room().provenance)
    with pytest.raises(UsageError, match="one across the image and one that leads away"):
        depth.with_lengths([(10, 10, 50, 10, 1.0), (10, 10, 10, 90, 1.5)])


def test_the_same_length_twice_leaves_the_focal_length_open() -> None:
    with pytest.raises(UsageError, match="do not determine the focal length"):
        a_room().with_lengths([(36, 53, 110, 61, 2.0)] * 2)


def test_lengths_that_contradict_each_other_are_refused() -> None:
    room = a_room()
    across, away = length(room, 20, 30, 20, 90), length(room, 36, 53, 110, 61)
    # Away is shorter than its own part across: the rest would have a negative square.
    x0, y0, x1, y1, metres = away
    with pytest.raises(UsageError, match="contradict each other"):
        room.with_lengths([across, (x0, y0, x1, y1, 0.3 * metres)])


def test_lengths_that_need_an_impossible_lens_are_refused() -> None:
    metres = np.full(SIZE, 2, np.float32)
    metres[:, 80:] = 2.01  # a wall, but for an estimate's noise
    depth = Depth(metres, Camera(100, 100, 79.5, 59.5, "t"), a_room().provenance)
    # To make 1 m of that centimetre while 1.6 m across stay takes 100 times the focal length.
    with pytest.raises(UsageError, match=r"focal length of \d{4,5} px.*expected 40 to 600"):
        depth.with_lengths([(10, 10, 10, 90, 1.6), (79, 60, 80, 60, 1.0)])


def test_a_known_lens_keeps_its_focal_length() -> None:
    camera = Camera(100, 100, 79.5, 59.5, "calibrated", (0.1, 0, 0, 0))
    depth = Depth(a_room().metres, camera, a_room().provenance)
    known = [(20, 30, 20, 90, 2.0), (36, 53, 110, 61, 2.0)]
    with pytest.raises(UsageError, match="give one length"):
        depth.with_lengths(known)
    assert depth.with_lengths(known[:1]).between((20, 30), (20, 90)) == pytest.approx(2)


@pytest.mark.parametrize("bad", [[], [(1, 2, 3, 4)], [(1, 2, 30, 4, 0)], [(1, 2, 30, 4, math.nan)]])
def test_invalid_lengths_are_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="known lengths: expected"):
        a_room().with_lengths(bad)


def test_length_between_a_place_and_itself_is_refused() -> None:
    with pytest.raises(UsageError, match="two points of a length must be different"):
        a_room().with_lengths([(20, 30, 20, 30, 1.0)])
    with pytest.raises(UsageError, match="outside"):
        a_room().with_lengths([(20, 30, 20, 300, 1.0)])
