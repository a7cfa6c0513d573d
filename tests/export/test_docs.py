"""Every command and every Python snippet of docs/export.md runs, in order, as a reader's would."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from glpn.cli import main
from tests.export.conftest import photographs

pytestmark = pytest.mark.slow  # a torch program is traced

PAGE = (Path(__file__).parents[2] / "docs/export.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def test_the_page_does_what_it_says(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed")
    (tmp_path / "my-model").symlink_to(folder)
    (tmp_path / "photos").mkdir()
    for i in range(8):
        (image,) = photographs(90 + i, 120)
        Image.fromarray(image).save(tmp_path / f"photos/{i}.jpg")
    shutil.copy(tmp_path / "photos/0.jpg", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 4
    for line in commands:
        assert main(shlex.split(line)[1:]) == 0, f"{line}: {capsys.readouterr().err}"
    assert len(blocks("python")) == 3
    for snippet in blocks("python"):
        done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "90, 120" in done.stdout and "metres" in done.stdout, snippet
