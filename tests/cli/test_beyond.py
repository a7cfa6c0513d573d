"""Labels beyond the model's range: one warning in `data check`, `evaluate` and `train`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import sets
from tests.cli.conftest import RunGlpn, run_for_real
from tests.training.runs import tiny_recipe

pytestmark = pytest.mark.slow

WARNING = "of the labels lie beyond the model's range of 10 m"


def street(root: Path, *, metres_per_level: float) -> Path:
    """Six frames whose depth reaches from 1 to 9 levels, in millimetres."""
    for number in range(6):
        sets.put(root / f"rgb/{number}.png", sets.picture(number))
        levels = sets.depth(number, scale=1000 * metres_per_level)
        sets.put(root / f"depth/{number}.png", levels)
    (root / "dataset.toml").write_text('unit = "mm"\n')
    return root


@pytest.fixture
def far(tmp_path: Path) -> Path:
    return street(tmp_path / "street", metres_per_level=5)


def test_labels_beyond_the_range_are_warned_of_once(
    glpn: RunGlpn, model: Path, far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    from glpn.training import train

    checked = glpn("data", "check", far)
    assert checked.out.count(WARNING) == 1
    scored = glpn("evaluate", "-m", model, "--data", far, "--dataset", "folder")
    assert (scored.out + scored.err).count(WARNING) == 1, scored.err
    capsys.readouterr()
    changes = ("loop.steps=1", "augment.crop=[32, 32]", "run.progress=true")
    train(tiny_recipe(far, tmp_path / "run", *changes))
    assert capsys.readouterr().err.count(WARNING) == 1


def test_labels_within_the_range_are_no_warning(glpn: RunGlpn, far: Path, tmp_path: Path) -> None:
    assert WARNING[:20] not in glpn("data", "check", far, "--max-depth", 80).out
    near = street(tmp_path / "room", metres_per_level=1)
    assert "beyond" not in glpn("data", "check", near).out
    [record] = [r for r in glpn("data", "check", far, "--json").records if r["kind"] == "range"]
    assert record["severity"] == "warning" and record["frames"] == []


def test_a_guessed_unit_is_reported_once_and_counted(tmp_path: Path) -> None:
    near = street(tmp_path / "room", metres_per_level=0.3)
    (near / "dataset.toml").unlink()
    checked = run_for_real("data", "check", near)
    assert (checked.out + checked.err).count("depth scale guessed") == 1, checked
    assert "warning: reading: depth scale guessed" in checked.out
    assert " 0 warnings" not in checked.out
