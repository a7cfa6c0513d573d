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
    assert names == {"inference", "finetuning", "evaluation", "point_cloud"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(path: Any) -> None:
    notebook = opened(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


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
