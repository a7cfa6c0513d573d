"""The legend: round numbers, within the range, at the right height."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn.depth.colormaps import COLORMAPS, UNKNOWN_COLOR, color_table
from glpn.depth.legend import MIN_HEIGHT, legend, tick_values
from tests.depth.test_depth import a_depth


@pytest.mark.parametrize(
    "near, far, expected",
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (1.3, 6.1, [2, 3, 4, 5, 6]),
        (0.5, 0.52, [0.5, 0.505, 0.51, 0.515, 0.52]),
        (2, 700, [200, 400, 600]),
    ],
)
def test_ticks_are_round_numbers(
    near: float, far: float, expected: list[int] | list[float]
) -> None:
    assert tick_values(near, far) == pytest.approx(expected)


@given(st.floats(0, 900), st.floats(0.001, 1000))
def test_every_range_has_at_least_two_ticks_within_it(near: float, width: int) -> None:
    ticks = tick_values(near, near + width)
    slack = 1e-6 * (near + width)
    assert len(ticks) >= 2
    assert near - slack <= ticks[0] < ticks[-1] <= near + width + slack


@pytest.mark.parametrize("height", [MIN_HEIGHT, 480, 3000])
def test_legend_is_as_high_as_its_picture(height: Any) -> None:
    strip = legend(height, "viridis", 0.5, 7)
    assert strip.shape[0] == height and strip.dtype == np.uint8


def test_no_color_map_contains_the_color_of_unknown_depth() -> None:
    for name in COLORMAPS:
        assert (np.abs(color_table(name).astype(int) - UNKNOWN_COLOR).max(1) > 8).all(), name


def test_notebooks_show_the_color_picture() -> None:
    assert a_depth(np.ones((80, 90)))._repr_png_().startswith(b"\x89PNG")
