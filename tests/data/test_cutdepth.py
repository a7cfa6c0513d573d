from __future__ import annotations

import numpy as np
import pytest

from glpn.data.cutdepth import depth_as_colour, square_piece, vertical_strip
from glpn.errors import UsageError


@pytest.mark.parametrize(
    ("width", "alpha", "beta", "left", "wide"),
    [
        (640, 0.5, 0.5, 320, 120),  # (640 - 320) * 0.5 * 0.75 = 120
        (641, 0.5, 0.5, 320, 120),  # (641 - 320.5) * 0.375 = 120.19: α W is not rounded first
        (640, 0.0, 1.0, 0, 480),  # at its widest: 0.75 of the picture
        (640, 0.0, 0.0, 0, 1),  # never nothing
        (640, 0.9999, 0.9, 639, 1),
        (576, 0.25, 0.8, 144, 259),  # 432 * 0.6 = 259.2
    ],
)
def test_vertical_strip_has_the_published_columns(
    width: int, alpha: float, beta: float, left: int, wide: int
) -> None:
    assert vertical_strip((480, width), alpha, beta, p=0.75) == (0, left, 480, wide)


def test_vertical_strip_never_leaves_the_picture() -> None:
    values = np.linspace(0, np.nextafter(1, 0), 50)
    for alpha in values:
        for beta in values:
            _, left, _, wide = vertical_strip((3, 37), alpha, beta, p=1.0)
            assert wide >= 1
            assert 0 <= left < left + wide <= 37


def test_square_piece_follows_the_same_rule_on_both_axes() -> None:
    # rows: int(0.25 * 480) = 120, (480 - 120) * 0.5 * 0.75 = 135; columns as above
    assert square_piece((480, 640), (0.25, 0.5), (0.5, 0.5), p=0.75) == (120, 320, 135, 120)


def test_depth_in_range_form_spans_black_to_white() -> None:
    depth = np.array([[0.0, 2.0, 5.0, 10.0, 12.0]], np.float32)
    grey = depth_as_colour(depth, values="range", max_depth=10, raw_scale=1000)
    assert grey.tolist() == [[0, 51, 128, 255, 255]]


def test_depth_in_modulo_form_wraps_raw_millimetres_at_256() -> None:
    depth = np.array([[0.0, 0.255, 0.256, 2.5]], np.float32)
    grey = depth_as_colour(depth, values="modulo", max_depth=10, raw_scale=1000)
    assert grey.tolist() == [[0, 255, 0, 2500 % 256]]


def test_unknown_form_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="clamp"):
        depth_as_colour(np.zeros((1, 1)), values="clamp", max_depth=10, raw_scale=1000)
