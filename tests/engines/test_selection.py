"""The automatic engine follows a rule; saved measurements refine it, and no cache is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glpn.engines import precision, registry, selection
from glpn.engines.options import EngineOptions
from glpn.engines.selection import Candidate, Cost, choose, save_costs, saved_costs
from glpn.errors import CannotCreateOutput, MissingDependency

LIGHT = Candidate("onnxruntime", "float32")
HEAVY = Candidate("openvino", "float32")
FAST = Candidate("openvino", "bfloat16")
CPU = EngineOptions(device="cpu", threads=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, on a machine where every engine is installed."""
    monkeypatch.setattr(registry.EngineRow, "is_installed", lambda row: True)
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network for 480×640 images whose weights passed in bfloat16 on OpenVINO."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.onnx").touch()
    passed = {"openvino": (["bfloat16"], "")}
    monkeypatch.setattr(
        precision, "available_precisions", lambda _, row: passed.get(row.name, ([], "no record"))
    )
    return folder


@pytest.mark.parametrize(
    ("photos", "chosen"), [(1, LIGHT), (19, LIGHT), (20, FAST), (9999, FAST), (None, FAST)]
)
def test_few_photos_take_the_engine_that_starts_fast(
    folder: Path, photos: int | None, chosen: Any
) -> None:
    assert choose(folder, CPU, photos=photos) == chosen


def test_photos_count_by_the_pixels_that_the_network_sees(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text('{"short_side": 240}')
    assert choose(folder, CPU, photos=79) == LIGHT
    assert choose(folder, CPU, photos=80) == FAST


def test_float32_takes_the_engine_that_starts_fast_for_any_job(folder: Path) -> None:
    options = EngineOptions(device="cpu", precision="float32")
    assert {choose(folder, options, photos=n) for n in (1, 9999, None)} == {LIGHT}


def test_reduced_precision_is_taken_for_one_photo_if_asked(folder: Path) -> None:
    options = EngineOptions(device="cpu", precision="reduced")
    assert choose(folder, options, photos=1) == FAST


def test_without_a_graph_torch_runs_the_weights(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    assert choose(folder, CPU, photos=1) == Candidate("torch", "float32")


def test_without_any_engine_the_error_names_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.EngineRow, "is_installed", lambda row: False)
    with pytest.raises(MissingDependency, match=r"install torch: pip install .*\.\[torch\]"):
        choose(folder, CPU, photos=1)


def test_saved_measurements_replace_the_rule(folder: Path) -> None:
    costs = {LIGHT: Cost(0.1, 0.5), HEAVY: Cost(1.0, 0.2), FAST: Cost(2.0, 0.1)}
    save_costs(folder, 1, costs)
    assert saved_costs(folder, 1) == costs
    chosen = [choose(folder, CPU, photos=photos) for photos in (1, 5, 11, None)]
    assert chosen == [LIGHT, HEAVY, FAST, FAST]
    assert choose(folder, EngineOptions(device="cpu", threads=2), photos=5) == LIGHT


def test_measurements_that_miss_an_engine_do_not_decide(folder: Path) -> None:
    save_costs(folder, 1, {LIGHT: Cost(9.0, 9.0), FAST: Cost(0.1, 0.1)})
    assert choose(folder, CPU, photos=1) == LIGHT


DAMAGED = [b"", b"{}", b"\xff", b"[" * 100_000, json.dumps({"rows": [["a", "b", -1, 2]]}).encode()]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_cache_counts_as_none(folder: Path, content: Any) -> None:
    save_costs(folder, 1, {LIGHT: Cost(1.0, 1.0)}).write_bytes(content)
    assert saved_costs(folder, 1) == {}


@pytest.mark.parametrize("home", ["XDG_CACHE_HOME", "LOCALAPPDATA"])
def test_the_cache_is_the_users(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    for name in ("GLPN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(home, str(tmp_path / "user"))
    file = save_costs(folder, 1, {LIGHT: Cost(1.0, 1.0)})
    assert file.parent == tmp_path / "user" / "glpn" / "engines"


def test_a_cache_that_cannot_be_written_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(CannotCreateOutput, match="cache"):
        save_costs(folder, 1, {LIGHT: Cost(1.0, 1.0)})


def test_a_fake_engine_needs_only_a_row_and_a_module(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fake:
        name, precision = "fake", "float32"
        settings: Any

        @classmethod
        def open(cls, folder: Path, settings: Any) -> Any:
            engine = cls()
            engine.settings = settings
            return engine

    row = registry.EngineRow("fake", "fake", "fake", __name__, "Fake", runs_graph=True)
    monkeypatch.setitem(globals(), "Fake", Fake)
    monkeypatch.setattr(registry, "TABLE", (row, *registry.TABLE))
    engine = selection.open_engine(folder, EngineOptions(engine="fake", threads=3))
    assert type(engine).__name__ == "Fake" and vars(engine)["settings"].threads == 3
    assert choose(folder, CPU, photos=1) == Candidate("fake", "float32")
    assert "fake" in registry.engine_names()
    assert "fake" in registry.usable_engines(folder)
