"""Corruptions: fifteen names, five rising severities, the same bytes from the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glpn.errors import DataError, UsageError
from glpn.evaluation.corruptions import CORRUPTIONS, FAMILIES, SEVERITIES, Corruption
from glpn.evaluation.corruptions.blur import convolve, trail
from glpn.evaluation.corruptions.weather import plasma


def photograph(seed: int, size: tuple[int, int] = (224, 288)) -> np.ndarray:
    """Soft colours and hard-edged rectangles, as in rooms."""
    rng = np.random.default_rng(seed)
    height, width = size
    waves = np.add.outer(np.sin(np.arange(height) / 40), np.cos(np.arange(width) / 55))
    image = 0.5 + 0.1 * waves[..., None] + rng.normal(0, 0.02, (height, width, 3))
    for _ in range(40):
        y, x = rng.integers(0, height), rng.integers(0, width)
        h, w = rng.integers(4, 70, 2)
        image[y : y + h, x : x + w] = 0.3 * image[y : y + h, x : x + w] + 0.7 * rng.random(3)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def distance(corruption: Any, images: list[np.ndarray]) -> float:
    errors = [
        corruption(image, i).astype(float) - image.astype(float) for i, image in enumerate(images)
    ]
    return np.mean([np.sqrt(np.mean(error**2)) for error in errors])


def test_there_are_fifteen_in_four_families() -> None:
    assert len(CORRUPTIONS) == 15
    counts = {family: list(FAMILIES.values()).count(family) for family in FAMILIES.values()}
    assert counts == {"noise": 3, "blur": 4, "weather": 4, "digital": 4}


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("lengths", ["image", "pixels"])
def test_damage_rises_with_severity(name: Any, lengths: str) -> None:
    images = [photograph(seed) for seed in range(3)]
    distances = [distance(Corruption(name, s, lengths=lengths), images) for s in SEVERITIES]
    assert distances[0] > 1 and np.all(np.diff(distances) > 0), distances


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_and_index_give_the_same_bytes_and_leave_the_image_alone(name: Any) -> None:
    image = photograph(0, (96, 128))
    before = image.copy()
    first = Corruption(name, 3, seed=5)(image, 7)
    assert first.dtype == np.uint8 and first.shape == image.shape
    assert np.array_equal(first, Corruption(name, 3, seed=5)(image, 7))
    assert np.array_equal(image, before)


@pytest.mark.parametrize(
    "name", ["gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "snow", "frost", "fog"]
)
def test_another_seed_or_index_gives_other_bytes(name: str) -> None:
    image = photograph(0, (96, 128))
    first = Corruption(name, 3, seed=5)(image, 7)
    assert not np.array_equal(first, Corruption(name, 3, seed=5)(image, 8))
    assert not np.array_equal(first, Corruption(name, 3, seed=6)(image, 7))


@pytest.mark.slow
@given(
    st.sampled_from(CORRUPTIONS),
    st.sampled_from(SEVERITIES),
    st.sampled_from(["image", "pixels"]),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
)
@settings(max_examples=80, deadline=None)
def test_any_size_is_taken_and_kept(
    name: str, severity: int, lengths: Any, size: tuple[int, int]
) -> None:
    image = photograph(1, size)
    assert Corruption(name, severity, lengths=lengths)(image, 0).shape == (*size, 3)


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1)])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_line_of_pixels_is_taken(name: Any, size: tuple[int, int]) -> None:
    assert Corruption(name, 5)(photograph(1, size), 0).shape == (*size, 3)


def test_gaussian_and_shot_noise_have_the_published_spread() -> None:
    grey = np.full((300, 300, 3), 128, np.uint8)
    spread = Corruption("gaussian_noise", 1)(grey, 0).std() / 255
    assert spread == pytest.approx(0.08, rel=0.02)
    level = 128 / 255
    spread = Corruption("shot_noise", 1)(grey, 0).std() / 255
    assert spread == pytest.approx(np.sqrt(level / 60), rel=0.02)  # Poisson: variance = mean


def test_impulse_noise_replaces_the_published_share_by_black_and_white_alike() -> None:
    spoiled = Corruption("impulse_noise", 5)(np.full((300, 300, 3), 128, np.uint8), 0)
    assert np.mean(spoiled == 0) == pytest.approx(0.27 / 2, abs=0.005)
    assert np.mean(spoiled == 255) == pytest.approx(0.27 / 2, abs=0.005)


def test_contrast_keeps_the_mean_and_the_published_share_of_the_spread() -> None:
    image = photograph(3)
    dull = Corruption("contrast", 3)(image, 0)
    assert dull.mean() == pytest.approx(image.mean(), abs=0.5)
    assert dull[..., 0].std() == pytest.approx(0.2 * image[..., 0].std(), rel=0.03)


def test_brightness_raises_the_value_and_keeps_the_hue() -> None:
    image = np.full((4, 4, 3), (100, 50, 25), np.uint8)
    bright = Corruption("brightness", 2)(image, 0)[0, 0]
    assert bright.tolist() == [151, 76, 38]  # value + 0.2 · 255 = 151; the ratios 4 : 2 : 1 stay
    assert Corruption("brightness", 1)(np.zeros((2, 2, 3), np.uint8), 0)[0, 0].tolist() == [26] * 3


def test_blurs_keep_a_constant_image() -> None:
    grey = np.full((60, 80, 3), 77, np.uint8)
    for name in ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"):
        assert np.abs(Corruption(name, 5)(grey, 0).astype(int) - 77).max() <= 1, name


@pytest.mark.parametrize(("lengths", "diameter"), [("pixels", 7), ("image", 13)])
def test_lengths_stay_in_pixels_or_follow_the_image(lengths: str, diameter: int) -> None:
    point = np.zeros((448, 448, 3), np.uint8)
    point[224, 224] = 255
    lit = Corruption("defocus_blur", 1, lengths=lengths)(point, 0).any(axis=(0, 2))
    assert np.ptp(np.flatnonzero(lit)) + 1 == diameter  # radius 3 on 224 pixels, 6 on 448


def test_convolution_equals_the_sum_it_stands_for() -> None:
    rng = np.random.default_rng(0)
    image = rng.random((9, 11)).astype(np.float32)
    kernel = rng.random((5, 5))
    padded = np.pad(image, 2, mode="symmetric")
    expected = sum(
        kernel[i, j] * padded[4 - i : 4 - i + 9, 4 - j : 4 - j + 11]
        for i in range(5)
        for j in range(5)
    )
    assert np.allclose(convolve(image, kernel), expected, atol=1e-5)


def test_a_trail_runs_from_the_centre_in_its_direction() -> None:
    kernel = trail(10, 5, 0)
    centre = kernel.shape[0] // 2
    assert kernel.sum() == pytest.approx(1)
    assert kernel[centre].sum() == pytest.approx(1)  # angle 0: along the columns
    assert kernel[:, :centre].sum() == 0 and kernel[centre, centre + 1] > kernel[centre, centre + 9]


def test_plasma_fills_0_to_1_and_wraps_smoothly() -> None:
    field = plasma((256, 256), 2.0, np.random.default_rng(0))
    assert field.min() == 0 and field.max() == 1
    assert np.abs(np.diff(field, axis=0)).mean() < 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rain", 1), "expected one of gaussian_noise, .*'rain'"),
        (("fog", 0), "fog: severity must be 1 to 5; got 0"),
        (("fog", 6), "got 6"),
    ],
)
def test_unknown_names_and_severities_are_refused(arguments: tuple[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Corruption(*arguments)
    with pytest.raises(UsageError, match="lengths"):
        Corruption("fog", 1, lengths="metres")


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_rgb_image_is_refused(image: Any) -> None:
    with pytest.raises(DataError, match=r"fog: expected an image uint8 \[H, W, 3\]"):
        Corruption("fog", 1)(image, 0)
