"""The graph that the compiled head follows: what is in it, and that it gives the same depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from glpn import GLPNConfig, GLPNForDepthEstimation, native, weights
from glpn.engines.options import EngineOptions
from glpn.engines.selection import open_engine
from glpn.export.onnx import write_graph
from tests.networks import photograph, randomise

BUNDLED = weights.bundled()["glpn-b0-indoor"]
compiled = pytest.mark.skipif(not native.available(), reason="the native head is not compiled")


def graph_of(folder: Path, name: str) -> Any:
    return onnx.load(folder / name, load_external_data=False).graph


def written(folder: Path, **fields: Any) -> Path:
    network = GLPNForDepthEstimation(GLPNConfig(**fields)).eval()
    randomise(network)
    network.save_pretrained(folder)
    write_graph(folder)
    return folder


@pytest.mark.slow
@compiled
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("size", [(64, 96), (33, 47), (1, 1), (31, 200)])
def test_the_bundled_models_trunk_agrees_with_torch(engine: str, size: tuple[int, int]) -> None:
    pixels = photograph(*size, batch=2).numpy()
    expected = open_engine(BUNDLED, EngineOptions(engine="torch", threads=1, precision="float32"))(
        pixels
    )
    depth = open_engine(BUNDLED, EngineOptions(engine=engine, threads=1, precision="float32"))(
        pixels
    )
    assert np.max(np.abs(depth - expected) / expected) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_folder_from_before_there_were_trunks_runs_the_whole_graph(
    tmp_path: Path, engine: str
) -> None:
    folder = written(tmp_path, depths=(1, 1, 1, 1))
    pixels = photograph(64, 96).numpy()
    expected = open_engine(folder, EngineOptions(engine="torch", threads=1, precision="float32"))(
        pixels
    )
    (folder / "trunk.onnx").unlink()
    depth = open_engine(folder, EngineOptions(engine=engine, threads=1, precision="float32"))(
        pixels
    )
    assert np.max(np.abs(depth - expected) / expected) <= 1e-4


@pytest.mark.parametrize("fields", [{"head_in_index": 2}, {"decoder_hidden_size": 20}])
def test_a_head_that_the_kernel_does_not_fit_gets_no_trunk(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    (tmp_path / "trunk.onnx").write_bytes(b"of an earlier network")
    folder = written(tmp_path, depths=(1, 1, 1, 1), **fields)
    assert not (folder / "trunk.onnx").exists()
    assert (
        open_engine(folder, EngineOptions(engine="onnxruntime", precision="float32"))(
            photograph(64, 96).numpy()
        ).size
        > 0
    )


@compiled
def test_the_fast_path_has_no_operation_at_the_size_of_the_picture() -> None:
    """Three doublings end at a quarter of the sides; the head's weights are not in the graph."""
    trunk, whole = (graph_of(BUNDLED, name) for name in ("trunk.onnx", "model.onnx"))
    doublings = [[n for n in g.node if n.op_type == "Resize"] for g in (trunk, whole)]
    assert [len(found) for found in doublings] == [3, 5]
    used = [{t.name for t in g.initializer if t.external_data} for g in (trunk, whole)]
    assert {name.split(".")[0] for name in used[1] - used[0]} == {"head"}
    engine: Any = open_engine(
        BUNDLED, EngineOptions(engine="onnxruntime", threads=1, precision="float32")
    )
    assert [output.name for output in engine._session.get_outputs()] == ["features"]
