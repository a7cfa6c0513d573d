"""`glpn export onnx` writes the graph that the engine needs, and says why when it cannot."""

from __future__ import annotations

import shutil

import numpy as np

import glpn as library


def test_the_graph_is_written_and_runs(glpn, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    before = library.load(folder)(np.full((40, 50, 3), 90, np.uint8)).metres
    (folder / "model.onnx").unlink()
    done = glpn("export", "onnx", folder, "--json")
    assert done.code == 0
    assert done.records[0]["bytes"] == (folder / "model.onnx").stat().st_size
    after = library.load(folder, engine="onnxruntime")(np.full((40, 50, 3), 90, np.uint8)).metres
    assert np.array_equal(before, after)


def test_the_portable_graph_says_the_same(glpn, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "copy")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    fused = library.load(folder, engine="onnxruntime")(image).metres
    assert glpn("export", "onnx", folder, "--portable").code == 0
    portable = library.load(folder, engine="onnxruntime")(image).metres
    assert np.abs(portable / fused - 1).max() <= 1e-4


def test_a_folder_without_a_model_is_named(glpn, tmp_path):
    done = glpn("export", "onnx", tmp_path)
    assert done.code == 66
    assert "config.json" in done.err
