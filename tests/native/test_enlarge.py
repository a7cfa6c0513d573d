"""The compiled enlargement: numpy's bits, in every clone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn.native import enlarge
from glpn.processing import resize
from glpn.processing.resize import resize_depth

pytestmark = pytest.mark.skipif(not enlarge.available(), reason="glpn was built without a compiler")


def depths(height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.uniform(1e-3, 10, (height, width)).astype(np.float32)


def by_numpy(depth: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enlarge, "available", lambda: False)
        return resize_depth(depth, size)


side = st.integers(1, 40)


@given(h=side, w=side, more=st.integers(1, 120), new_w=st.integers(1, 150))
def test_every_clone_has_the_bits_of_numpy(h: int, w: int, more: Any, new_w: int) -> None:
    depth = depths(h, w)
    expected = by_numpy(depth, (h + more, new_w))
    rows, columns = (resize._taps(old, new, np.float32) for old, new in ((h, h + more), (w, new_w)))
    for clone in range(enlarge.clones()):
        limits = (depth.min(), depth.max())
        assert np.array_equal(enlarge.enlarged(depth, rows, columns, limits, clone=clone), expected)


def test_a_photograph_takes_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    depth = depths(192, 256)
    expected = by_numpy(depth, (960, 1280))
    called = []
    real = enlarge.enlarged

    def recorded(*arguments: Any) -> Any:
        called.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(enlarge, "enlarged", recorded)
    assert np.array_equal(resize_depth(depth, (960, 1280)), expected)
    assert len(called) == 1
    transposed = np.ascontiguousarray(depth.T).T  # no row is contiguous
    assert np.array_equal(resize_depth(transposed, (960, 1280)), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_goes_the_way_of_numpy(
    bad: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = depths(6, 8)
    depth[2, 3] = bad
    monkeypatch.setattr(enlarge, "enlarged", lambda *a: pytest.fail("the kernel ran"))
    resize_depth(depth, (24, 32))
