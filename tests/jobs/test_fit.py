"""Photographs that are read no larger than the network needs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glpn
from glpn.errors import InvalidImage, UsageError
from glpn.estimator import DepthEstimator
from glpn.image.limits import ImageLimits
from glpn.image.photo import read_photo
from tests.corpus.bytes_of import encoded


def smooth(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width] / 40
    waves = [np.sin(x + i) * np.cos(y - i) for i in range(3)]
    return (127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def quarter(height: int, width: int) -> tuple[int, int]:
    return height // 4, width // 4


@pytest.fixture(scope="module")
def estimator() -> DepthEstimator:
    return glpn.load("glpn-b0-rooms", threads=1)


def test_a_jpeg_comes_at_a_power_of_two_no_smaller_than_needed() -> None:
    data = encoded(smooth(400, 600), "JPEG")
    sizes = {(100, 150): (100, 150), (101, 150): (200, 300), (399, 1): (400, 600), (9, 9): (50, 75)}
    for needed, expected in sizes.items():
        photo = read_photo(data, min_decode_size=lambda *_, needed=needed: needed)
        assert photo.pixels.shape[:2] == expected and photo.size == (400, 600)


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_other_formats_come_whole(format: str) -> None:
    photo = read_photo(encoded(smooth(64, 96), format), min_decode_size=quarter)
    assert photo.pixels.shape == (64, 96, 3) and photo.whole is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_stands_upright_and_shows_the_same(orientation: Any) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(smooth(320, 480), "JPEG", exif=exif.tobytes())
    whole, small = read_photo(data), read_photo(data, min_decode_size=quarter)
    assert small.size == whole.size and small.hash == whole.hash
    expected = Image.fromarray(whole.pixels).reduce(4)
    assert np.abs(small.pixels.astype(int) - np.asarray(expected)).mean() < 2


def test_the_focal_length_is_that_of_the_whole_photograph() -> None:
    from PIL import Image

    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 50
    data = encoded(smooth(320, 480), "JPEG", exif=exif.tobytes())
    assert read_photo(data, min_decode_size=quarter).focal == read_photo(data).focal


@pytest.mark.parametrize("share", [0.25, 0.5, 0.99])
def test_a_truncated_jpeg_is_refused_all_the_same(share: float) -> None:
    data = encoded(smooth(320, 480), "JPEG")
    with pytest.raises(InvalidImage, match="truncated"):
        read_photo(data[: int(len(data) * share)], min_decode_size=quarter)


def test_the_limit_on_pixels_is_that_of_the_whole_photograph() -> None:
    with pytest.raises(InvalidImage, match="megapixels"):
        read_photo(
            encoded(smooth(320, 480), "JPEG"),
            min_decode_size=quarter,
            limits=ImageLimits(max_jpeg_pixels=100_000),
        )


@pytest.mark.slow
def test_metres_have_the_whole_size_and_hardly_move(estimator: DepthEstimator) -> None:
    data = encoded(smooth(960, 1280), "JPEG")
    photo = read_photo(data, min_decode_size=estimator.min_decode_size)
    assert photo.pixels.shape[:2] == (480, 640)  # 1.5 × 192 fits into a half, not into a quarter
    small, whole = estimator(photo), estimator(data)
    assert small.size == (960, 1280) and small.image is None
    assert small.camera == whole.camera
    assert np.mean(np.abs(small.metres / whole.metres - 1)) < 0.005


def test_an_odd_size_gives_the_network_the_same_input_size(estimator: DepthEstimator) -> None:
    for height, width in ((1001, 777), (961, 1281), (1999, 640)):
        photo = read_photo(
            encoded(smooth(height, width), "JPEG"), min_decode_size=estimator.min_decode_size
        )
        assert photo.whole == (height, width)
        pixels = estimator.processor.pixels(photo.pixels, size=photo.size)
        assert pixels.shape[1:] == estimator.processor.input_size(height, width)


def test_uncertainty_needs_the_whole_photograph(estimator: DepthEstimator) -> None:
    photo = read_photo(
        encoded(smooth(960, 1280), "JPEG"), min_decode_size=estimator.min_decode_size
    )
    with pytest.raises(UsageError, match="at full resolution"):
        estimator(photo, uncertainty="flip")
