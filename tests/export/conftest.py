"""A small random model whose processor scales, and its own answer for an image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
from glpn.estimator import MAX_INPUT_PIXELS, SMALLEST_DEPTH
from glpn.processing.resize import resize_depth
from tests.networks import randomise

SIZES = {  # each takes another turn in the processor's rules
    "smaller": (60, 80),
    "odd": (97, 131),
    "portrait": (160, 90),
    "one pixel": (1, 1),
    "as it is": (96, 128),
    "long": (40, 400),
}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network that was trained at a shorter side of 96 pixels, for one camera."""
    config = GLPNConfig(
        depths=(1, 1, 1, 1),
        hidden_sizes=(8, 16, 40, 64),
        decoder_hidden_size=8,
        max_depth=12,
    )
    torch.manual_seed(0)
    network = GLPNForDepthEstimation(config)
    randomise(network)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    network.save_pretrained(folder)
    GLPNImageProcessor(short_side=96, focal_ratio=1.25).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def metres(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What `glpn.load(...)` says in float32 of a batch of images [B, H, W, 3], step by step."""
    network = GLPNForDepthEstimation.from_pretrained(folder)
    processor = GLPNImageProcessor.from_pretrained(folder)

    def of_one(image: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(processor.pixels(image, max_pixels=MAX_INPUT_PIXELS))
        with torch.no_grad():
            depth = network(pixels[None]).predicted_depth[0].numpy()
        return resize_depth(depth, image.shape[:2]).clip(SMALLEST_DEPTH, network.config.max_depth)

    return lambda images: np.stack([of_one(image) for image in images])


def photographs(height: int, width: int, *, batch: int = 1) -> np.ndarray:
    """Colours that change slowly, an edge, and noise: uint8 [B, H, W, 3]."""
    rng = np.random.default_rng((height, width))
    images = []
    for _ in range(batch):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 6, 3), np.uint8))
        image = np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR)).astype(int)
        image[: height // 2, : width // 3] //= 3
        images.append((image + rng.integers(-10, 11, image.shape)).clip(0, 255))
    return np.array(images, np.uint8)
