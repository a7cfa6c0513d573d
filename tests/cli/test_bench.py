"""`glpn bench` measures what is installed and saves it for the automatic choice."""

from __future__ import annotations

from pathlib import Path

import pytest

from glpn.engines.selection import Candidate, saved_costs
from tests.cli.conftest import RunGlpn


@pytest.mark.slow
def test_every_engine_has_a_row_and_the_figures_are_saved(
    glpn: RunGlpn, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))
    run = glpn("bench", model, "--threads", "1", "--save", "--json")
    rows = run.records
    assert [row["engine"] for row in rows] == ["onnxruntime", "openvino", "torch"]
    for row in rows:
        assert row["precision"] == "float32"  # these weights passed no gate
        assert row["p95_ms"] >= row["median_ms"] > 0 and row["images_s_4"] > 0
        assert row["deviation_max"] <= 1e-4
    [kept] = (tmp_path / "cache/engines").iterdir()
    assert str(kept) in run.err
    costs = saved_costs(model, 1)
    assert {(choice.engine, choice.precision) for choice in costs} == {
        (row["engine"], "float32") for row in rows
    }
    for row in rows:
        assert costs[Candidate(row["engine"], "float32")].image == row["median_ms"] / 1000


@pytest.mark.slow
def test_without_save_nothing_is_kept(
    glpn: RunGlpn, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))
    assert glpn("bench", model, "--threads", "1", "--json").code == 0
    assert not (tmp_path / "cache").exists()
