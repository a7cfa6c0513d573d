"""The compiled rows of 16-bit PNGs: numpy's bytes, in every clone."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glpn.files import rasters
from glpn.native import grey16

pytestmark = pytest.mark.skipif(not grey16.available(), reason="glpn was built without a compiler")

side = st.integers(1, 60)
scales = st.one_of(st.sampled_from([1000.0, 256.0, 5000.0]), st.floats(1, 6000))


@given(h=side, w=side, scale=scales, least=st.integers(0, 1), kind=st.integers(0, 2))
def test_every_clone_has_the_bytes_of_numpy(h, w, scale, least, kind):
    rng = np.random.default_rng(h * 100 + w)
    metres = {
        0: rng.uniform(0, 65535 / scale, (h, w)),
        1: rng.integers(0, 2 * 65535, (h, w)) / 2 / scale,  # half a unit is rounded to even
        2: rng.uniform(0, 2 / scale, (h, w)) * (rng.random((h, w)) < 0.8),  # nearly nothing
    }[kind].astype(np.float32)
    expected = rasters._filtered(rasters._units(metres, scale, least))
    for clone in range(grey16.clones()):
        assert np.array_equal(
            grey16.filtered_rows(metres, scale, least=least, clone=clone), expected
        )


def test_rows_become_a_png_that_others_read():
    metres = np.random.default_rng(0).uniform(0, 60, (37, 53)).astype(np.float32)
    rows = grey16.filtered_rows(metres, 1000, least=1)
    data = rasters._png(rows, metres.shape, rasters._GREY_16, "{}")
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(np.asarray(image), np.rint(metres * np.float64(1000)))


def test_a_map_that_is_no_block_of_memory_comes_out_the_same():
    metres = np.random.default_rng(0).uniform(0, 9, (12, 34)).astype(np.float32)
    found = grey16.filtered_rows(metres[::2, ::3], 1000, least=1)
    assert np.array_equal(
        found, grey16.filtered_rows(np.ascontiguousarray(metres[::2, ::3]), 1000, least=1)
    )
