"""`glpn verify` recognises published values, and says how far others are off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glpn.errors import UsageError
from glpn.evaluation import fidelity
from tests.networks import twins


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of transformers, a photo, and the nine values that transformers computes."""
    reference, _ = twins("b0", decoder_hidden_size=16)
    reference.save_pretrained(tmp_path / "model")
    levels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    Image.fromarray(levels).save(tmp_path / "photo.png")
    pixels = torch.from_numpy(levels).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        values = reference(pixels).predicted_depth[0, :3, :3].tolist()
    monkeypatch.setattr(fidelity, "PUBLISHED", {"vinvino02/glpn-nyu": values})
    return tmp_path


def test_the_published_values_are_recognised(published: Path) -> None:
    found = fidelity.compare(published / "model", published / "photo.png")
    assert found.matches and found.nearest == "vinvino02/glpn-nyu"
    assert found.deviation <= fidelity.TOLERANCE


@pytest.mark.slow
def test_other_weights_are_reported_with_their_deviation(published: Path) -> None:
    other, _ = twins("b0", decoder_hidden_size=16, max_depth=10)
    with torch.no_grad():
        other.head.head[2].bias += 0.5
    other.save_pretrained(published / "other")
    found = fidelity.compare(published / "other", published / "photo.png")
    assert not found.matches and found.deviation > 0.01


def test_another_photo_is_refused(published: Path) -> None:
    Image.new("RGB", (64, 64)).save(published / "small.png")
    with pytest.raises(UsageError, match=r"000000039769\.jpg, 640x480"):
        fidelity.compare(published / "model", published / "small.png")
