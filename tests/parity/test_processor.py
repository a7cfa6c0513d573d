"""The processor against the one in transformers, wherever that one works."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.glpn.image_processing_pil_glpn import GLPNImageProcessorPil

from glpn import GLPNImageProcessor
from tests.corpus.bytes_of import encoded, scene

OPTIONS: list[dict[str, Any]] = [
    {},
    {"size_divisor": 64},
    {"resample": 0},
    {"resample": 3},
    {"do_resize": False},
    {"rescale_factor": 1 / 127.5},
    {"do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
]
SIZES = [(480, 640), (375, 1242), (97, 131), (64, 70)]


def noise(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_pixel_values_are_bit_identical(size: tuple[int, int], options: dict[str, Any]) -> None:
    for image in (noise(size), scene(*size)):
        ours = GLPNImageProcessor(**options)(image, return_tensors="np")
        theirs = GLPNImageProcessorPil(**options)(image, return_tensors="np")
        np.testing.assert_array_equal(ours["pixel_values"], theirs["pixel_values"])


def test_sources_options_per_call_and_batches_are_bit_identical() -> None:
    first, second = noise((97, 131)), scene(97, 131)
    ours, theirs = GLPNImageProcessor(), GLPNImageProcessorPil()
    for images in (
        Image.fromarray(first),
        first.transpose(2, 0, 1),
        torch.from_numpy(first).permute(2, 0, 1),
        [first, second],
        np.stack([first, second]),
    ):
        mine = ours.preprocess(images, return_tensors="pt", size_divisor=16)
        reference = theirs.preprocess(images, return_tensors="pt", size_divisor=16)
        assert torch.equal(mine.pixel_values, reference.pixel_values)


def test_mixed_sizes_as_a_list_are_bit_identical() -> None:
    images = [noise(size) for size in SIZES]
    mine = GLPNImageProcessor()(images).pixel_values
    reference = GLPNImageProcessorPil()(images).pixel_values
    for ours, theirs in zip(mine, reference, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_decoded_jpeg_is_bit_identical(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(scene(200, 300), "JPEG"))
    with Image.open(path) as image:
        theirs = GLPNImageProcessorPil()(image, return_tensors="np")
    ours = GLPNImageProcessor()(path, return_tensors="np")
    np.testing.assert_array_equal(ours.pixel_values, theirs["pixel_values"])


def test_each_loads_what_the_other_saved(tmp_path: Path) -> None:
    options = {"size_divisor": 64, "resample": 3}
    GLPNImageProcessorPil(**options).save_pretrained(tmp_path / "theirs")
    loaded = GLPNImageProcessor.from_pretrained(tmp_path / "theirs")
    assert (loaded.size_divisor, loaded.resample) == (64, 3)
    GLPNImageProcessor(**options).save_pretrained(tmp_path / "ours")
    reference = GLPNImageProcessorPil.from_pretrained(tmp_path / "ours")
    image = noise((130, 140))
    np.testing.assert_array_equal(
        loaded(image, "np").pixel_values, reference(image, return_tensors="np")["pixel_values"]
    )


def test_post_processing_is_the_reference_clamped_to_the_prediction_s_own_range() -> None:
    depth = torch.rand(2, 24, 32, generator=torch.Generator().manual_seed(0)) * 9
    outputs = SimpleNamespace(predicted_depth=depth)
    sizes = [(50, 70), (9, 11)]
    ours = GLPNImageProcessor().post_process_depth_estimation(outputs, sizes)
    theirs = GLPNImageProcessorPil().post_process_depth_estimation(outputs, sizes)
    for mine, reference, source in zip(ours, theirs, depth, strict=True):
        clamped = reference["predicted_depth"].clamp(source.min(), source.max())
        assert torch.equal(mine["predicted_depth"], clamped)
