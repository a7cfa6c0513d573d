from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from glpn.data.augment import AugmentConfig, apply, draw, sample_rng
from glpn.data.augment_torch import augment_batch
from glpn.errors import DataError

SIZE = (60, 80)


def frames(count: int) -> tuple[Any, ...]:
    """Smooth pictures with depth, as tensors and as arrays."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    images, depths = [], []
    for i in range(count):
        waves = [np.sin(rows / (7 + i) + c) * np.cos(columns / (9 + c)) for c in range(3)]
        images.append(np.rint(127 + 120 * np.stack(waves, -1)).astype(np.uint8))
        depths.append((1 + rows / 20 + i * 0.1 + (columns > 40)).astype(np.float32))
    tensors = (
        torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
        torch.from_numpy(np.stack(depths)),
    )
    return images, depths, *tensors


def both(config: Any, count: int = 24) -> tuple[Any, ...]:
    images, depths, image_tensor, depth_tensor = frames(count)
    draws = [draw(sample_rng(5, 1, i), config, size=SIZE) for i in range(count)]
    arrays = [apply(*frame, config) for frame in zip(images, depths, draws, strict=True)]
    pixels, depth = augment_batch(image_tensor, depth_tensor, draws, config)
    return arrays, pixels, depth


@pytest.mark.parametrize("cutdepth", ["vertical", "square", "none"])
@pytest.mark.parametrize("values", ["range", "modulo"])
@pytest.mark.parametrize("zoom", [(1.0, 1.0), (1.0, 1.4)])
def test_batch_form_equals_the_array_form_but_for_8_bit_rounding(
    cutdepth: str, values: str, zoom: tuple[float, float]
) -> None:
    config = AugmentConfig(
        cutdepth=cutdepth,
        cutdepth_values=values,
        cutdepth_probability=0.5,
        crop=(48, 64),
        zoom=zoom,
    )
    arrays, pixels, depth = both(config)
    for i, (image, metres) in enumerate(arrays):
        difference = (pixels[i].permute(1, 2, 0).numpy() * 255 - image).__abs__()
        assert difference.mean() < 1.5
        assert np.quantile(difference, 0.99) < 8  # hue in 8 bits is coarse where colours are faint
        np.testing.assert_array_equal(depth[i].numpy(), metres)


def test_geometry_alone_is_exact() -> None:
    config = AugmentConfig(
        crop=(48, 64), light_probability=0, gamma_probability=0, hsv_probability=0
    )
    arrays, pixels, depth = both(config)
    for i, (image, metres) in enumerate(arrays):
        np.testing.assert_allclose(pixels[i].permute(1, 2, 0).numpy() * 255, image, atol=0.51)
        np.testing.assert_array_equal(depth[i].numpy(), metres)


def test_without_a_crop_the_frame_keeps_its_size() -> None:
    config = AugmentConfig(crop=None)
    _, pixels, depth = both(config, count=4)
    assert pixels.shape == (4, 3, *SIZE)
    assert depth.shape == (4, *SIZE)


def test_pixels_stay_in_range() -> None:
    config = dataclasses.replace(AugmentConfig(crop=(48, 64)), brightness=1.0, contrast=1.0)
    _, pixels, _ = both(config)
    assert pixels.dtype == torch.float32
    assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1


def test_wrong_number_of_draws_is_refused() -> None:
    _, _, images, depth = frames(3)
    with pytest.raises(DataError, match="2 draws"):
        augment_batch(
            images,
            depth,
            [draw(sample_rng(0, 0, i), AugmentConfig(crop=None), size=SIZE) for i in range(2)],
            AugmentConfig(crop=None),
        )
