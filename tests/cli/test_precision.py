"""`glpn precision` measures reduced precisions and keeps the figures beside the weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from glpn import weights
from glpn.engines.openvino.engine import computes_bfloat16
from glpn.engines.options import EngineOptions
from glpn.engines.precision import computable_precisions, multiplies_8_bits
from glpn.engines.registry import engine_row
from glpn.engines.selection import open_engine
from tests.cli import sets
from tests.cli.conftest import RunGlpn

pytestmark = pytest.mark.skipif(not computes_bfloat16(), reason="this CPU has no bfloat16")


def spec(folder: Path) -> Path:
    """What the frames' files hold."""
    file = folder / "frames.toml"
    file.write_text(
        'rgb = "rgb/{stem}.jpg"\ndepth = "depth/{stem}.png"\nscale = 25.5\noffset = 0.5\n'
    )
    return file


@pytest.mark.slow
def test_measured_figures_lie_beside_the_weights_and_decide(glpn: RunGlpn, tmp_path: Path) -> None:
    folder = shutil.copytree(weights.bundled()["glpn-b0-indoor"], tmp_path / "model")
    (folder / "precision.json").unlink()
    sets.plain(tmp_path / "frames", 4)
    run = glpn(
        "precision", folder, "--data", tmp_path / "frames", "--spec", spec(tmp_path), "--json"
    )
    kinds = computable_precisions(engine_row("openvino"))
    assert [record["precision"] for record in run.records] == kinds, run.err
    eight_bits = any(kind.startswith("int8") for kind in kinds)
    for record in run.records:
        assert record["deviation"] > 0 and record["score_frames"] == 4
        assert record["deviation_frames"] == (2 if eight_bits else 4)  # the others calibrate
        assert bool(record["ranges"]) == record["precision"].startswith("int8")
    kept = json.loads((folder / "precision.json").read_text())["records"]
    assert [(record["engine"], record["precision"]) for record in kept] == [
        ("openvino", kind) for kind in kinds
    ]
    passed = [record["precision"] for record in run.records if record["passed"]]
    assert run.code == (0 if passed else 65)
    opened = open_engine(folder, EngineOptions(engine="openvino", precision="auto", threads=1))
    assert opened.precision == (passed[0] if passed else "float32")


@pytest.mark.skipif(not multiplies_8_bits(), reason="without 8-bit products one frame is enough")
def test_too_few_frames_are_refused(glpn: RunGlpn, tmp_path: Path) -> None:
    sets.plain(tmp_path / "frames", 1)
    folder = shutil.copytree(weights.bundled()["glpn-b0-indoor"], tmp_path / "model")
    run = glpn("precision", folder, "--data", tmp_path / "frames", "--spec", spec(tmp_path))
    assert run.code == 65 and "too few frames" in run.err


def test_without_frames_nothing_is_measured(glpn: RunGlpn, model: Path) -> None:
    assert glpn("precision", model).code == 2
