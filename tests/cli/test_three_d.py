"""Commands and Python of docs/three_d.md and docs/cameras.md run, in a reader's folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glpn as library
from tests.cli.conftest import RunGlpn, write_photo

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "three_d.md").read_text()
CAMERAS = (DOCS / "cameras.md").read_text()  # tests/test_readme.py runs its commands


def test_the_page_runs(
    glpn: RunGlpn, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photo(Path("photo.jpg"))  # 96x128
    Path("head.yaml").write_text(
        "image_width: 128\nimage_height: 96\n"
        "camera_matrix: {data: [100, 0, 63, 0, 100, 47, 0, 0, 1]}\n"
        "distortion_coefficients: {data: [-0.1, 0.02, 0, 0, 0.001]}\n"
    )
    Path("K.txt").write_text("20 0 19.5\n0 20 14.5\n0 0 1\n")
    Image.fromarray(np.full((30, 40), 2000, np.uint16)).save("kinect.png")
    Image.fromarray(np.full((12, 16), 2500, np.uint16)).save("lidar.png")
    # The page's photograph is larger than the one here.
    page = PAGE.replace("120,220,440,220", "12,22,44,80")
    code = CAMERAS.replace("120, 220, 440, 220", "12, 22, 44, 80")
    code = code.replace("(320, 240, 2.5)", "(32, 24, 2.5)")
    [block] = re.findall(r"^```bash\n(.*?)^```", page, re.M | re.S)
    for line in block.splitlines():
        extra = ["-m", str(model)] if "predict" in line else []
        run = glpn(*shlex.split(line)[1:], *extra)
        assert run.code == 0, f"{line}: {run.err}"
    assert {path.name for path in Path("depth").iterdir()} >= {"photo.glb", "photo.ply"}
    blocks = re.findall(r"^```python\n(.*?)^```", code, re.M | re.S)
    load = library.load
    monkeypatch.setattr(library, "load", lambda: load(model, threads=1))
    exec("\n".join(blocks), {})
    assert Path("photo.glb").exists() and Path("photo.ply").exists()
