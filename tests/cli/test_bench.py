"""`glpn bench` measures what is installed and keeps it for the automatic choice."""

from __future__ import annotations

import json


def test_every_engine_has_a_row_and_the_figures_are_kept(glpn, model, tmp_path, monkeypatch):
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))
    rows = glpn("bench", model, "--threads", "1", "--json").records
    assert [row["engine"] for row in rows] == ["onnxruntime", "openvino", "torch"]
    for row in rows:
        assert row["precision"] == "float32"  # these weights passed no gate
        assert row["p95_ms"] >= row["median_ms"] > 0 and row["images_s_4"] > 0
        assert row["deviation_max"] <= 1e-4
    [kept] = (tmp_path / "cache/engines").iterdir()
    assert set(json.loads(kept.read_text())) == {f"{row['engine']} float32" for row in rows}
