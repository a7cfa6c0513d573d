"""Scripts written for transformers run with only the import changed, and give its numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.networks import twins

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "scripts"
# The line of a script that imports from transformers, and the line that takes its place.
OURS = {
    "docs_page": "from glpn import GLPNForDepthEstimation, "
    "GLPNImageProcessor as AutoImageProcessor",
    "task_guide": "from glpn import (GLPNForDepthEstimation as AutoModelForDepthEstimation, "
    "GLPNImageProcessor as AutoImageProcessor, pipeline)",
    "notebook": "from glpn import GLPNFeatureExtractor, GLPNForDepthEstimation",
}
# What the script gets from the installed transformers, whose default backend needs torchvision.
THEIRS = "from transformers import GLPNImageProcessorPil as GLPNFeatureExtractor"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    reference, _ = twins("b0", decoder_hidden_size=16)
    reference.save_pretrained(folder)
    from transformers import GLPNImageProcessorPil

    GLPNImageProcessorPil().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    coarse = np.random.default_rng(0).integers(0, 256, (7, 10, 3), np.uint8)
    Image.fromarray(coarse).resize((100, 70), Image.Resampling.BICUBIC).save(path)
    return path


def run(text: str, model: Path, photo: Path) -> torch.Tensor:
    names = {"MODEL": str(model), "PHOTO": str(photo)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own
        exec(compile(text, "script", "exec"), names)
    return names["RESULT"]  # type: ignore[return-value]


@pytest.mark.parametrize("name", OURS)
def test_a_script_runs_with_only_the_import_changed(name: str, model: Path, photo: Path) -> None:
    text = (SCRIPTS / f"{name}.py").read_text()
    [line] = [line for line in text.splitlines() if line.startswith("from transformers import")]
    ours = run(text.replace(line, OURS[name]), model, photo)
    reference = line.replace("GLPNFeatureExtractor, ", "") + f"\n{THEIRS}"
    theirs = run(text.replace(line, reference), model, photo)
    # Bicubic curves overshoot there and are kept within the network's own range here.
    assert (ours - theirs).abs().median() < 1e-5
    assert (ours - theirs).abs().max() < 0.02
