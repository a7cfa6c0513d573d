"""The median equals NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from glpn.depth.median import median


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (3, 5), (4, 6)])
def test_the_median_is_numpys(size: tuple[int, int]) -> None:
    metres = np.random.default_rng(0).uniform(0.1, 10, size).astype(np.float32)
    before = metres.copy()
    assert median(metres) == np.median(metres)
    np.testing.assert_array_equal(metres, before)


@pytest.mark.parametrize("levels", [1, 2, 7, 1000])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (17, 34), (40, 51), (99, 101)])
def test_the_median_equals_numpys_with_many_equal_values(
    size: tuple[int, int], levels: int
) -> None:
    metres = np.random.default_rng(0).integers(1, levels + 1, size).astype(np.float32)
    assert median(metres) == np.median(metres)


def test_the_median_equals_numpys_when_the_sample_misleads() -> None:
    metres = np.ones((34, 17), np.float32)
    metres[:, 1:] = np.arange(16) + 2.0  # only the first column is looked at
    assert median(metres) == np.median(metres)
