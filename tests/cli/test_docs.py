"""Every command of docs/evaluation.md runs, in a folder set up as a reader's."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests import scenes
from tests.cli import sets
from tests.cli.conftest import RunGlpn, write_photo

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = [
    line
    for block in re.findall(
        r"^```bash\n(.*?)^```", (DOCS / "evaluation.md").read_text(), re.M | re.S
    )
    for line in block.splitlines()
    if line.startswith("glpn ")
]


@pytest.fixture
def reader(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Models, datasets and docs under the names that the page uses."""
    shutil.copytree(model, tmp_path / "my-model")  # a command writes into it
    for name in ("my-other-model", "my-kitti-model"):
        (tmp_path / name).symlink_to(model)
    sets.nyu(tmp_path / "data/nyu")
    sets.kitti(tmp_path / "data/kitti", 1)
    scenes.release(tmp_path / "data/ibims1")
    sets.plain(tmp_path / "data/nyu795", 2)
    sets.plain(tmp_path / "data/mine", 2, bits=16)
    shutil.copytree(DOCS, tmp_path / "docs")
    write_photo(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_run(reader: Path, glpn: RunGlpn) -> None:
    assert len(COMMANDS) > 10
    for line in COMMANDS:
        run = glpn(*shlex.split(line)[1:])
        assert run.code == 0 and run.out.strip(), f"{line}: {run.err}"
    assert (reader / "results/val/robustness.json").exists()
