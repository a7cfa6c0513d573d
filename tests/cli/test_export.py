"""`glpn export` writes what it says, verified if asked, and says why when it cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import glpn as library
from glpn.export import verify
from tests.cli.conftest import RunGlpn


def test_the_graph_is_written_and_runs(glpn: RunGlpn, model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "copy")
    before = library.load(folder)(np.full((40, 50, 3), 90, np.uint8)).metres
    (folder / "model.onnx").unlink()
    done = glpn("export", "onnx", folder, "--json")
    assert done.code == 0
    assert done.records[0]["bytes"] == (folder / "model.onnx").stat().st_size
    after = library.load(folder, engine="onnxruntime")(np.full((40, 50, 3), 90, np.uint8)).metres
    assert np.array_equal(before, after)


def test_the_portable_graph_says_the_same(glpn: RunGlpn, model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "copy")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    fused = library.load(folder, engine="onnxruntime")(image).metres
    assert glpn("export", "onnx", folder, "--portable").code == 0
    portable = library.load(folder, engine="onnxruntime")(image).metres
    assert np.abs(portable / fused - 1).max() <= 1e-4


def test_a_folder_without_a_model_is_named(glpn: RunGlpn, tmp_path: Path) -> None:
    done = glpn("export", "onnx", tmp_path)
    assert done.code == 66
    assert "config.json" in done.err


@pytest.mark.slow
def test_one_file_from_images_to_metres_is_written_verified_and_runs_alone(
    glpn: RunGlpn, model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "depth.onnx"
    done = glpn("export", "onnx", model, file, "--end-to-end", "--portable", "--verify", "--json")
    assert done.code == 0, done.err
    (record,) = done.records
    assert record["bytes"] == file.stat().st_size
    assert record["verified"]["mean"] <= 1e-3
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    alone = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (metres,) = alone.run(["predicted_depth"], {"images": image[None]})
    expected = library.load(model, engine="torch")(image).metres
    assert np.abs(metres[0] / expected - 1).mean() <= 1e-2  # the engine may be the quick one
    kept = alone.get_modelmeta().custom_metadata_map["verified"]
    assert json.loads(kept) == record["verified"]


def test_verify_prints_a_line_for_each_input(glpn: RunGlpn, model: Path, tmp_path: Path) -> None:
    done = glpn("export", "onnx", model, tmp_path / "depth.onnx", "--verify")
    assert done.code == 0, done.err
    for size in ("64x64", "480x640"):
        assert f" {size} " in done.out


@pytest.mark.slow
def test_the_engines_graph_can_be_verified_too(glpn: RunGlpn, model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(model, tmp_path / "copy")
    assert glpn("export", "onnx", folder, "--verify").code == 0
    said = onnx.load(folder / "model.onnx", load_external_data=False).metadata_props
    verified = next(json.loads(entry.value) for entry in said if entry.key == "verified")
    assert verified["largest"] <= 1e-4


@pytest.mark.slow
def test_openvinos_two_files_are_written(glpn: RunGlpn, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    done = glpn("export", "openvino", model, tmp_path / "depth.xml", "--json")
    assert done.code == 0, done.err
    files = [tmp_path / "depth.xml", tmp_path / "depth.bin"]
    assert done.records[0]["bytes"] == sum(file.stat().st_size for file in files)


@pytest.mark.slow
def test_a_file_that_deviates_is_not_written_and_the_code_is_65(
    glpn: RunGlpn, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "NETWORK", verify.Tolerance(mean=0, largest=0))
    done = glpn("export", "onnx", model, tmp_path / "depth.onnx", "--verify")
    assert done.code == 65
    assert "depth.onnx: not written: on 5 generated pictures it deviates from torch" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--end-to-end"], "--end-to-end, --quantize, --size, --half and --opset need OUT.onnx"),
        (["--quantize", "int8", "--calibrate", "."], "--half and --opset need OUT.onnx"),
        (["--half"], "--half and --opset need OUT.onnx"),
        (["depth.onnx", "--quantize", "int8", "--calibrate", ".", "--half"], "be combined with"),
        (["depth.onnx", "--quantize", "int8"], "--quantize and --calibrate FOLDER go together"),
        (["depth.onnx", "--calibrate", "."], "--quantize and --calibrate FOLDER go together"),
        (["depth.pb"], "depth.pb: expected a name that ends in .onnx"),
    ],
)
def test_options_that_do_not_fit_are_a_usage_error(
    glpn: RunGlpn, model: Path, arguments: list[str], message: str
) -> None:
    done = glpn("export", "onnx", model, *arguments)
    assert done.code == 2
    assert message in done.err


def test_an_existing_file_is_kept_and_the_code_is_73(
    glpn: RunGlpn, model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "depth.onnx"
    file.write_text("mine")
    done = glpn("export", "onnx", model, file)
    assert done.code == 73
    assert file.read_text() == "mine"
    assert glpn("export", "onnx", model, file, "--overwrite").code == 0


def test_an_unknown_model_is_missing_input(glpn: RunGlpn, tmp_path: Path) -> None:
    done = glpn("export", "torch", "no-such-model", tmp_path / "depth.pt2")
    assert done.code == 66
    assert "no-such-model" in done.err


def test_too_few_photographs_to_calibrate_are_missing_input(
    glpn: RunGlpn, model: Path, photo: Path, tmp_path: Path
) -> None:
    calibrate = ("--quantize", "int8", "--calibrate", photo.parent)
    done = glpn("export", "onnx", model, tmp_path / "depth.onnx", *calibrate)
    assert done.code == 66
    assert "expected four photographs or more, found 1" in done.err
