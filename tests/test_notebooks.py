"""The notebooks, each executed from its first cell to its last in a fresh kernel."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel")
pytest.importorskip("ipykernel", reason="needs nbclient and ipykernel")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PATIENCE = 120  # seconds for one cell on a busy machine


def opened(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def test_there_is_one_for_each_thing_people_come_for() -> None:
    names = {path.stem for path in NOTEBOOKS}
    assert names == {"first_depth", "measure_a_room", "fine_tune", "evaluate", "look_inside"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_pictures_are_kept_and_small(path: Path) -> None:
    notebook = opened(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) >= 2
    assert path.stat().st_size < 600_000
    text = path.read_text("utf-8")
    assert "/tmp/" not in text and str(ROOT) not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_says_nothing_on_standard_error(
    path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own parts
        from nbclient import NotebookClient

        notebook = opened(path)
        client = NotebookClient(
            notebook, timeout=PATIENCE, resources={"metadata": {"path": str(path.parent)}}
        )
        client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    said = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not said, said
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures, "a notebook without a picture"
