"""The bundled folders in transformers, opened as its documentation says, give glpn's metres."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import glpn
from glpn import weights
from tests.networks import photograph


@pytest.mark.parametrize("model", ["glpn-b0-indoor", "glpn-b0-rooms"])
def test_transformers_on_a_bundled_folder_agrees_within_one_percent(model: str) -> None:
    from transformers import AutoImageProcessor, GLPNForDepthEstimation

    folder = weights.resolve(model)
    processor = AutoImageProcessor.from_pretrained(folder)
    network = GLPNForDepthEstimation.from_pretrained(folder)
    ours = glpn.load(model, engine="torch", precision="float32")
    for seed, size in enumerate([(480, 640), (640, 480)]):
        levels = (photograph(*size, seed=seed)[0] * 255).byte()  # [3, H, W]
        image = Image.fromarray(levels.permute(1, 2, 0).numpy())
        with torch.no_grad():
            outputs = network(**processor(images=image, return_tensors="pt"))
        [found] = processor.post_process_depth_estimation(outputs, target_sizes=[size])
        metres = found["predicted_depth"].numpy()
        assert np.mean(np.abs(metres / ours(image).metres - 1)) < 0.01
