"""`glpn explain` replaces its own pictures and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import RunGlpn, write_photo


@pytest.mark.slow
def test_its_own_picture_is_replaced_and_another_file_is_kept(
    glpn: RunGlpn, model: Path, tmp_path: Path
) -> None:
    photo = write_photo(tmp_path / "a.jpg")
    picture = tmp_path / "a.png"
    for _ in range(2):
        run = glpn("explain", photo, "-m", model, "-o", picture)
        assert run.code == 0 and str(picture) in run.out, run.err
    with Image.open(picture) as image:
        assert image.mode == "RGB" and image.width > 1000
    before = photo.read_bytes()
    run = glpn("explain", photo, "-m", model, "-o", photo)
    assert run.code == 73 and "--overwrite" in run.err
    run = glpn("explain", photo, "-m", model, "-o", photo, "--overwrite")
    assert run.code == 2 and "is the photo" in run.err
    assert photo.read_bytes() == before
