"""The compiled scaling of photographs: Pillow's bits, in every clone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from glpn import GLPNImageProcessor
from glpn.errors import UsageError
from glpn.native import shrink

pytestmark = pytest.mark.skipif(not shrink.available(), reason="glpn was built without a compiler")

LEVELS = np.tile(np.arange(256, dtype=np.float32), (3, 1))
side = st.integers(1, 90)


def picture(height: int, width: int, *, extreme: bool = False) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    levels = rng.integers(0, 256, (height, width, 3), np.uint8)
    return np.where(levels > 127, np.uint8(255), np.uint8(0)) if extreme else levels


def by_pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized).transpose(2, 0, 1)


@given(h=side, w=side, new_h=side, new_w=side, extreme=st.booleans())
@example(h=1, w=1, new_h=1, new_w=1, extreme=True)
@example(h=1, w=90, new_h=1, new_w=7, extreme=False)  # the first row is the last
@example(h=8, w=90, new_h=8, new_w=7, extreme=False)  # one less than rows are taken together
@example(h=9, w=90, new_h=5, new_w=7, extreme=False)
@example(h=90, w=90, new_h=1, new_w=1, extreme=True)
def test_every_clone_has_the_bits_of_pillow(
    h: int, w: int, new_h: int, new_w: int, extreme: bool
) -> None:
    image = picture(h, w, extreme=extreme)
    if not shrink.supports(image, (new_h, new_w)):
        return
    expected = by_pillow(image, (new_h, new_w))
    for clone in range(shrink.clones()):
        found = shrink.network_input(image, (new_h, new_w), LEVELS, clone=clone)
        assert np.array_equal(found, expected)


def test_levels_of_another_type_are_refused() -> None:
    for image in (np.full((8, 8, 3), 0.5), np.zeros((8, 8, 4), np.uint8)):
        with pytest.raises(UsageError, match=rf"got {image.dtype} \[8, 8, {image.shape[2]}\]"):
            shrink.network_input(image, (4, 4), LEVELS)


def test_a_tall_picture_made_short_is_left_to_pillow() -> None:
    assert not shrink.supports(picture(90, 40), (30, 40))
    assert shrink.supports(picture(40, 90), (40, 30))
    assert shrink.supports(picture(30, 40), (60, 40))


@pytest.mark.parametrize("width", [7997, 8000])
def test_many_weights_leave_white_white(width: int) -> None:
    white = np.full((2, width, 3), 255, np.uint8)
    found = shrink.network_input(white, (2, 1), LEVELS)
    assert np.array_equal(found, by_pillow(white, (2, 1)))
    assert found.min() == 255


def test_more_weights_than_may_be_rounded_are_left_to_pillow() -> None:
    assert shrink.supports(picture(2, 8000), (2, 1))
    assert not shrink.supports(picture(2, 8001), (2, 1))


@pytest.mark.parametrize("options", [{}, {"do_normalize": True}, {"rescale_factor": 1 / 127.5}])
@pytest.mark.parametrize("size", [(480, 640), (333, 250), (96, 128)])
def test_a_photograph_takes_the_kernel(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], size: tuple[int, int]
) -> None:
    processor = GLPNImageProcessor(short_side=64, **options)
    image = picture(*size)
    called = []
    real = shrink.network_input

    def recorded(*arguments: Any) -> Any:
        called.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(shrink, "network_input", recorded)
    found = processor.pixels(image)
    assert len(called) == 1
    monkeypatch.setattr(shrink, "available", lambda: False)
    assert np.array_equal(processor.pixels(image), found)
    assert len(called) == 1


def test_a_picture_that_is_no_block_of_memory_comes_out_the_same() -> None:
    image = picture(96, 128)
    processor = GLPNImageProcessor(short_side=64)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    assert np.array_equal(processor.pixels(image[:, ::-1]), processor.pixels(mirrored))


@pytest.mark.parametrize("resample", [Image.Resampling.BICUBIC, Image.Resampling.NEAREST])
def test_another_filter_is_left_to_pillow(monkeypatch: pytest.MonkeyPatch, resample: Any) -> None:
    monkeypatch.setattr(shrink, "network_input", lambda *a: pytest.fail("the kernel ran"))
    GLPNImageProcessor(short_side=64, resample=int(resample)).pixels(picture(96, 128))
