"""A model's folder opens as it was signed, or says which file changed."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import glpn
from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor, weights
from glpn.errors import CheckpointError, ConfigError, MissingInput, UsageError
from glpn.export.onnx import write_graph
from glpn.weights import integrity

BUNDLED = weights.bundled()["glpn-b0-indoor"]
ENGINES = ["onnxruntime", "openvino", "torch"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(BUNDLED, tmp_path / "model")


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def listed(folder: Path) -> set[str]:
    return set(json.loads((folder / "checksums.json").read_text())["files"])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.onnx", "trunk.onnx", "precision.json"]
)
def test_a_changed_file_is_refused_by_name_with_the_command(
    folder: Path, engine: str, name: str
) -> None:
    flip(folder / name)
    with pytest.raises(CheckpointError, match=rf"{name}: does not match .*`glpn sign .*model`"):
        glpn.load(folder, engine=engine, precision="float32")


def test_the_torch_door_refuses_changed_weights_too(folder: Path) -> None:
    flip(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not match"):
        GLPNForDepthEstimation.from_pretrained(folder)


def test_a_signed_change_opens(folder: Path) -> None:
    flip(folder / "model.safetensors")
    weights.sign(folder)
    assert glpn.load(folder, precision="float32").engine.config.max_depth == 10


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("config.json", '"max_depth": 10', '"max_depth": 20'),
        ("preprocessor_config.json", '"do_rescale": true', '"do_rescale": false'),
    ],
)
def test_an_edited_configuration_opens_with_a_warning(
    folder: Path, name: str, old: str, new: str
) -> None:
    file = folder / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.warns(weights.EditedFileWarning, match=f"{name}: does not match"):
        glpn.load(folder, precision="float32")


def test_a_file_that_is_not_listed_is_refused(folder: Path) -> None:
    values = json.loads((folder / "checksums.json").read_text())
    del values["files"]["trunk.onnx"]
    (folder / "checksums.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=r"trunk\.onnx: not listed"):
        glpn.load(folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", "[" * 100_000, '{"files": {"a": 1}}'])
def test_damaged_checksums_are_refused_by_name(folder: Path, content: str) -> None:
    (folder / "checksums.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"checksums\.json: .*glpn sign"):
        glpn.load(folder)


def test_a_folder_without_checksums_opens_with_a_note(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "checksums.json").unlink()
    with caplog.at_level(logging.INFO, "glpn"):
        glpn.load(folder, precision="float32")
    assert "no checksums.json" in caplog.text


def test_every_writer_signs_what_it_writes(tmp_path: Path) -> None:
    GLPNForDepthEstimation(GLPNConfig(depths=(1, 1, 1, 1))).save_pretrained(tmp_path)
    assert listed(tmp_path) == {"config.json", "model.safetensors"}
    GLPNImageProcessor(short_side=240).save_pretrained(tmp_path)
    write_graph(tmp_path)
    graphs = {"model.onnx", "trunk.onnx"}
    written = {"config.json", "model.safetensors", "preprocessor_config.json", *graphs}
    assert listed(tmp_path) == written
    glpn.load(tmp_path, precision="float32")


def test_a_writer_does_not_sign_another_ones_damage(folder: Path) -> None:
    flip(folder / "model.safetensors")
    GLPNImageProcessor().save_pretrained(folder)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not match"):
        glpn.load(folder)


def test_saving_a_variant_does_not_sign_the_damage_of_other_weights(folder: Path) -> None:
    model = GLPNForDepthEstimation.from_pretrained(folder)
    flip(folder / "model.safetensors")
    model.save_pretrained(folder, variant="fp16")
    assert "model.fp16.safetensors" in listed(folder)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not match"):
        glpn.load(folder)


@pytest.mark.parametrize("failing", [False, True])
def test_two_writers_at_once_keep_the_checksums_of_each_other(folder: Path, failing: bool) -> None:
    with suppress(ZeroDivisionError), integrity.signing(folder, "errors.json"):
        GLPNImageProcessor(short_side=96).save_pretrained(folder)
        if failing:
            raise ZeroDivisionError
        (folder / "errors.json").unlink()
    assert ("errors.json" in listed(folder)) == failing
    weights.require_intact(folder)  # without a warning


def test_a_failed_write_leaves_the_checksums(folder: Path) -> None:
    before = (folder / "checksums.json").read_bytes()
    with pytest.raises(ZeroDivisionError), integrity.signing(folder, "model.onnx"):
        raise ZeroDivisionError
    assert (folder / "checksums.json").read_bytes() == before


def test_checksums_survive_a_killed_writer_and_a_changed_byte_is_found_after_it(
    folder: Path,
) -> None:
    before = (folder / "checksums.json").read_bytes()
    writer = (
        "import os, sys\nfrom glpn.weights import signing\n"
        "with signing(sys.argv[1], 'errors.json'):\n    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", writer, str(folder)]).returncode == -9
    with pytest.warns(
        weights.EditedFileWarning, match="an earlier write was interrupted; .*glpn sign"
    ):
        glpn.load(folder, engine="onnxruntime")
    flip(folder / "model.onnx")
    with weights.signing(folder, "errors.json"):
        pass
    assert (folder / "checksums.json").read_bytes() == before
    assert not (folder / ".checksums.json").exists()
    with pytest.raises(CheckpointError, match=r"model\.onnx"):
        glpn.load(folder, engine="onnxruntime")


def test_a_folder_of_a_published_model_stays_without_checksums(folder: Path) -> None:
    (folder / "checksums.json").unlink()
    GLPNImageProcessor().save_pretrained(folder)
    assert not (folder / "checksums.json").exists()


def test_bundled_models_are_pinned() -> None:
    assert set(integrity.PINS) == set(weights.bundled())
    for folder in weights.bundled().values():
        weights.require_intact(folder)


def test_a_bundled_model_signed_by_somebody_else_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(integrity.PINS, BUNDLED.name, "0" * 64)
    with pytest.raises(
        CheckpointError, match=r"checksums\.json: differs from the one shipped with glpn"
    ):
        glpn.load(BUNDLED)


def test_bundled_models_are_never_written_to() -> None:
    before = {file.name: file.stat().st_mtime_ns for file in BUNDLED.iterdir()}
    with pytest.raises(UsageError, match="read-only; copy the folder"):
        write_graph(BUNDLED)
    assert {file.name: file.stat().st_mtime_ns for file in BUNDLED.iterdir()} == before


@pytest.mark.parametrize("spelling", ["dot", "link"])
def test_another_path_to_a_bundled_model_does_not_unlock_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    path = Path()
    if spelling == "dot":
        monkeypatch.chdir(BUNDLED)
    else:
        path = tmp_path / "mine"
        path.symlink_to(BUNDLED)
    before = {file.name: file.stat().st_mtime_ns for file in BUNDLED.iterdir()}
    with pytest.raises(UsageError, match="read-only; copy the folder"):
        GLPNImageProcessor().save_pretrained(path)
    assert {file.name: file.stat().st_mtime_ns for file in BUNDLED.iterdir()} == before
    monkeypatch.setitem(integrity.PINS, BUNDLED.name, "0" * 64)
    with pytest.raises(CheckpointError, match="differs from the one shipped with glpn"):
        weights.require_intact(path)


def test_a_folder_without_weights_is_not_signed(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"no model\.safetensors"):
        weights.sign(tmp_path)


@pytest.mark.parametrize(
    "values",
    [
        {"rescale_factor": 0},
        {"rescale_factor": 1e300},
        {"focal_ratio": 1e308},
        {"focal_ratio": 1e-320},
    ],
)
def test_impossible_values_of_the_preprocessor_are_refused_by_key(
    folder: Path, values: dict[str, Any]
) -> None:
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    weights.sign(folder)
    with pytest.raises(ConfigError, match=next(iter(values))):
        glpn.load(folder)


@pytest.mark.parametrize("max_depth", ["1e-320", "1e300", "0.001"])
def test_an_impossible_range_is_refused_by_key(folder: Path, max_depth: str) -> None:
    file = folder / "config.json"
    file.write_text(file.read_text().replace('"max_depth": 10', f'"max_depth": {max_depth}'))
    weights.sign(folder)
    with pytest.raises(ConfigError, match="max_depth"):
        glpn.load(folder)


def test_transformers_opens_a_signed_folder(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = transformers.GLPNForDepthEstimation.from_pretrained(folder, local_files_only=True)
    assert model.config.max_depth == 10
