from __future__ import annotations

import colorsys
import dataclasses
from typing import Any

import numpy as np
import pytest

from glpn.data.augment import AugmentConfig, Draw, apply, draw, recolour, sample_rng
from glpn.errors import DataError, UsageError

OFF = AugmentConfig(
    cutdepth="none",
    flip_probability=0,
    light_probability=0,
    gamma_probability=0,
    hsv_probability=0,
    crop=None,
)


def frame(height: int = 60, width: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return image, rng.uniform(0.5, 9.5, (height, width)).astype(np.float32)


def augment(
    image: np.ndarray, depth: np.ndarray, rng: np.random.Generator, config: AugmentConfig
) -> tuple[np.ndarray, np.ndarray]:
    return apply(image, depth, draw(rng, config, size=depth.shape), config)


def test_everything_off_changes_nothing() -> None:
    image, depth = frame()
    new_image, new_depth = augment(image, depth, sample_rng(1, 2, 3), OFF)
    np.testing.assert_array_equal(new_image, image)
    np.testing.assert_array_equal(new_depth, depth)


def test_same_seed_epoch_and_index_give_the_same_bytes_and_another_index_does_not() -> None:
    image, depth = frame()
    config = AugmentConfig(crop=(48, 64), zoom=(1.0, 1.3))
    first = augment(image, depth, sample_rng(7, 1, 5), config)
    again = augment(image, depth, sample_rng(7, 1, 5), config)
    other = augment(image, depth, sample_rng(7, 1, 6), config)
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


def test_arguments_are_left_as_they_were() -> None:
    image, depth = frame()
    before = image.copy(), depth.copy()
    for index in range(20):
        augment(image, depth, sample_rng(0, 0, index), AugmentConfig(crop=(48, 64)))
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(depth, before[1])


def test_published_probabilities_are_met() -> None:
    fates = [draw(sample_rng(0, 0, i), AugmentConfig(), size=(480, 640)) for i in range(4000)]
    share = {
        "cut": np.mean([f.cut is not None for f in fates]),
        "flip": np.mean([f.flip for f in fates]),
        "light": np.mean([f.contrast != 1 for f in fates]),
        "gamma": np.mean([f.gamma != 1 for f in fates]),
        "hsv": np.mean([f.hsv != (0, 0, 0) for f in fates]),
    }
    wanted = {"cut": 0.25, "flip": 0.5, "light": 0.5, "gamma": 0.5, "hsv": 0.5}
    assert share == pytest.approx(wanted, abs=0.03)  # 4 standard deviations of 4000 draws


def test_drawn_amounts_fill_the_published_ranges_and_no_more() -> None:
    fates = [draw(sample_rng(0, 0, i), AugmentConfig(), size=(480, 640)) for i in range(4000)]
    for values, low, high in [
        ([f.contrast for f in fates], 0.8, 1.2),
        ([f.brightness for f in fates], -0.2, 0.2),
        ([f.gamma for f in fates], 0.8, 1.2),
        ([f.hsv[0] for f in fates], -20, 20),
        ([f.hsv[1] for f in fates], -30, 30),
        ([f.hsv[2] for f in fates], -20, 20),
        ([f.corner[0] for f in fates], 0, 480 - 448),
        ([f.corner[1] for f in fates], 0, 640 - 576),
    ]:
        span = high - low
        assert low <= min(values) < low + 0.02 * span + 1
        assert high - 0.02 * span - 1 < max(values) <= high


def test_switching_one_augmentation_off_leaves_the_others_as_they_were() -> None:
    on = AugmentConfig(crop=(48, 64))
    off = dataclasses.replace(on, cutdepth="none", hsv_probability=0)
    for index in range(30):
        a = draw(sample_rng(3, 0, index), on, size=(60, 80))
        b = draw(sample_rng(3, 0, index), off, size=(60, 80))
        assert (a.flip, a.corner, a.gamma, a.contrast) == (b.flip, b.corner, b.gamma, b.contrast)


def test_cutdepth_pastes_the_depth_before_the_flip() -> None:
    image, depth = frame()
    fate = Draw(cut=(0, 10, 60, 5), flip=True)
    new_image, new_depth = apply(image, depth, fate, OFF)
    strip = np.rint(depth[:, 10:15] / 10 * 255).astype(np.uint8)
    for channel in range(3):
        np.testing.assert_array_equal(new_image[:, ::-1][:, 10:15, channel], strip)
    np.testing.assert_array_equal(new_image[:, ::-1][:, :10], image[:, :10])
    np.testing.assert_array_equal(new_depth, depth[:, ::-1])


def test_crop_cuts_image_and_depth_at_the_same_place() -> None:
    index = np.arange(60 * 80).reshape(60, 80)
    image = np.stack([index % 256, index // 256, index * 0], -1).astype(np.uint8)
    config = dataclasses.replace(OFF, crop=(32, 48), flip_probability=0.5)
    for i in range(20):
        new_image, new_depth = augment(image, index.astype(np.float32), sample_rng(0, 0, i), config)
        assert new_image.shape == (32, 48, 3)
        from_image = new_image[..., 0].astype(int) + 256 * new_image[..., 1].astype(int)
        np.testing.assert_array_equal(from_image, new_depth)


def test_crop_as_large_as_the_frame_keeps_it_whole() -> None:
    image, depth = frame()
    new_image, _ = augment(
        image, depth, sample_rng(0, 0, 0), dataclasses.replace(OFF, crop=(60, 80))
    )
    np.testing.assert_array_equal(new_image, image)


def test_crop_larger_than_the_frame_is_refused_with_both_sizes() -> None:
    image, depth = frame()
    with pytest.raises(DataError, match=r"\(448, 576\).*\(60, 80\)"):
        augment(image, depth, sample_rng(0, 0, 0), AugmentConfig())


def test_zoom_keeps_metres_true_for_a_camera_of_fixed_focal_length() -> None:
    # A disc of radius R at distance Z is f R / Z pixels wide for the camera; after the zoom its
    # width in pixels and its new distance must still give the same R.
    focal, distance, radius = 100.0, 4.0, 0.6
    rows, columns = np.mgrid[:120, :120] - 59.5
    disc = np.hypot(rows, columns) <= focal * radius / distance
    image = np.repeat(np.where(disc, 255, 0).astype(np.uint8)[..., None], 3, -1)
    depth = np.where(disc, distance, 8.0).astype(np.float32)
    config = dataclasses.replace(OFF, crop=(60, 60))
    fate = Draw(zoom=1.5, corner=(40.0, 40.0), crop=(60, 60))  # the middle 40 x 40 pixels
    new_image, new_depth = apply(image, depth, fate, config)
    seen = new_image[..., 0] > 127
    width = 2 * np.sqrt(seen.sum() / np.pi)
    metres = new_depth[30, 30]
    assert metres == pytest.approx(distance / 1.5)
    assert width * metres / focal / 2 == pytest.approx(radius, rel=0.02)
    differ = seen != (new_depth < 8.0 / 1.5 - 0.1)
    assert differ.sum() < 0.5 * np.pi * width  # still aligned: half a pixel along the rim


def test_zoom_never_blends_depths_nor_invents_known_pixels() -> None:
    image, _ = frame()
    depth = np.where(np.arange(80) % 2, 4.0, 0.0).astype(np.float32) * np.ones((60, 1), np.float32)
    config = dataclasses.replace(OFF, crop=(48, 64), zoom=(1.1, 1.4))
    for i in range(10):
        rng = sample_rng(0, 0, i)
        zoom = draw(sample_rng(0, 0, i), config, size=(60, 80)).zoom
        _, new_depth = augment(image, depth, rng, config)
        assert set(np.unique(new_depth)) <= {np.float32(0), np.float32(4) / np.float32(zoom)}


def test_zooming_out_stops_where_the_crop_still_fits() -> None:
    config = dataclasses.replace(OFF, crop=(48, 72), zoom=(0.2, 1.0))
    for i in range(50):
        fate = draw(sample_rng(0, 0, i), config, size=(60, 80))
        assert fate.zoom >= 72 / 80
        assert fate.corner[1] + 72 / fate.zoom <= 80 + 1e-9


def test_light_and_gamma_follow_the_formula() -> None:
    image, _ = frame()
    bright = np.rint(np.clip(image / 255 * 1.1 - 0.05, 0, 1) * 255)
    wanted = np.rint((bright / 255) ** 0.8 * 255)
    got = recolour(image, Draw(contrast=1.1, brightness=-0.05, gamma=0.8))
    np.testing.assert_array_equal(got, wanted)


def test_hue_shift_is_in_opencv_steps_of_two_degrees() -> None:
    red = np.full((1, 1, 3), (200, 0, 0), np.uint8)
    shifted = recolour(red, Draw(hsv=(20.0, 0.0, 0.0)))[0, 0] / 255
    assert colorsys.rgb_to_hsv(*shifted)[0] * 360 == pytest.approx(40, abs=1.5)


def test_saturation_and_value_shift_by_8_bit_steps_and_stop_at_the_ends() -> None:
    colour = np.full((1, 1, 3), (200, 100, 100), np.uint8)  # saturation 127.5, value 200
    shifted = recolour(colour, Draw(hsv=(0.0, 30.0, 20.0)))[0, 0] / 255
    _, saturation, value = colorsys.rgb_to_hsv(*shifted)
    assert saturation * 255 == pytest.approx(157.5, abs=2)
    assert value * 255 == pytest.approx(220, abs=1)
    white = np.full((1, 1, 3), 255, np.uint8)
    assert recolour(white, Draw(hsv=(0.0, -30.0, 20.0))).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cutdepth": "horizontal"}, "cutdepth: .*horizontal"),
        ({"cutdepth_values": "wrap"}, "cutdepth_values"),
        ({"flip_probability": 1.5}, "flip_probability"),
        ({"gamma": (1.2, 0.8)}, "gamma"),
        ({"zoom": (0.0, 1.0)}, "zoom"),
        ({"zoom": (1.0, 2.0), "crop": None}, "zoom"),
        ({"crop": (0, 10)}, "crop"),
        ({"hue": 200.0}, "hue"),
        ({"max_depth": 0.0}, "max_depth"),
    ],
)
def test_impossible_settings_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AugmentConfig(**values)


def test_image_and_depth_of_different_sizes_are_refused() -> None:
    image, depth = frame()
    with pytest.raises(DataError, match="differ"):
        augment(image, depth[:-1], sample_rng(0, 0, 0), OFF)
