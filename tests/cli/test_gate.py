"""`glpn gate` measures a quick precision and keeps the figures beside the weights."""

from __future__ import annotations

import json
import shutil

import pytest

from glpn import weights
from glpn.engines import open_engine
from glpn.engines.openvino import computes_bfloat16
from tests.cli import sets

pytestmark = pytest.mark.skipif(not computes_bfloat16(), reason="this CPU has no bfloat16")


def test_measured_figures_lie_beside_the_weights_and_decide(glpn, tmp_path):
    folder = shutil.copytree(weights.bundled()["glpn-b0-indoor"], tmp_path / "model")
    (folder / "quick.json").unlink()
    sets.plain(tmp_path / "frames", 2)
    spec = tmp_path / "frames.toml"
    spec.write_text(
        'rgb = "rgb/{stem}.jpg"\ndepth = "depth/{stem}.png"\nscale = 25.5\noffset = 0.5\n'
    )
    run = glpn("gate", folder, "--data", tmp_path / "frames", "--spec", spec, "--json")
    assert run.records, run.err
    [record] = run.records
    assert record["deviation"] > 0 and record["score_frames"] == record["deviation_frames"] == 2
    assert json.loads((folder / "quick.json").read_text())["records"][0]["engine"] == "openvino"
    assert run.code == (0 if record["passed"] else 65)
    assert open_engine(folder, engine="openvino", precision="auto", threads=1).precision == (
        "bfloat16" if record["passed"] else "float32"
    )


def test_without_frames_nothing_is_measured(glpn, model):
    assert glpn("gate", model).code == 2
