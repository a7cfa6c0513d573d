"""What `scripts/upload_models.py` stages: a folder that the hub, transformers.js and glpn open."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

import glpn
from glpn.weights import hub
from glpn.weights.card import read_card

pytest.importorskip("torch")
ROOT = Path(__file__).parents[2]
IMAGE = np.random.default_rng(0).integers(0, 256, (192, 256, 3), np.uint8)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts/upload_models.py"
    spec = importlib.util.spec_from_file_location("upload_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def staged(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hub") / "model"
    script.stage("glpn-b0-rooms", out)
    return out


@pytest.mark.parametrize("name", sorted(hub.bundled()))
def test_the_front_matter_of_every_card_is_valid_metadata(script: ModuleType, name: Any) -> None:
    card = ModelCard(script.hub_card(name, read_card(hub.bundled()[name])))
    facts: Any = card.data  # its attributes depend on the card
    assert facts.pipeline_tag == "depth-estimation"
    assert facts.library_name == "glpn"
    if facts.license == "other":  # the hub wants a name and a link then
        assert facts.license_name.replace("-", "").isalnum()
        assert facts.license_link == "LICENSE.md"
    else:
        assert facts.license == "apache-2.0"
    assert card.text.lstrip().startswith(f"# {name}")


@pytest.mark.slow
def test_terms_are_a_file_of_their_own(staged: Path) -> None:
    terms = (staged / "LICENSE.md").read_text("utf-8")
    assert terms.startswith("# Terms of glpn-b0-rooms\n\n") and len(terms) > 200


@pytest.mark.slow
def test_the_file_for_transformers_js_has_its_names_and_the_metres_of_glpn(staged: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(staged / "onnx/model.onnx")
    assert [value.name for value in session.get_inputs()] == ["pixel_values"]
    assert [value.name for value in session.get_outputs()] == ["predicted_depth"]
    estimator = glpn.load(staged, engine="onnxruntime", precision="float32")
    pixels = estimator.processor.pixels(IMAGE)[None]
    (depth,) = session.run(None, {"pixel_values": pixels})
    np.testing.assert_allclose(depth, estimator.engine(pixels), rtol=1e-4)


@pytest.mark.slow
def test_an_upload_creates_the_repository_and_commits_the_folder(
    script: ModuleType, staged: Path, tmp_path: Path
) -> None:
    class Stand:
        """The hub as a folder on this disk."""

        def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
            assert private and exist_ok
            (tmp_path / repo_id).mkdir(parents=True, exist_ok=True)

        def upload_folder(self, *, repo_id: str, folder_path: Path, commit_message: str) -> None:
            assert commit_message == f"glpn {glpn.__version__}"
            shutil.copytree(folder_path, tmp_path / repo_id, dirs_exist_ok=True)

    script.upload(Stand(), staged, "someone/rooms", private=True)
    assert glpn.load(tmp_path / "someone/rooms", engine="onnxruntime").metres(IMAGE).shape
