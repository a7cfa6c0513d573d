"""Photos that people have, through `glpn predict`: formats, limits, videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from glpn.cli.inputs import gather
from tests.cli.conftest import RunGlpn
from tests.corpus.bytes_of import encoded, scene
from tests.depths import a_depth


def test_a_folder_yields_all_formats_and_none_of_our_own_files(tmp_path: Path) -> None:
    for format, suffix in (("TIFF", "tif"), ("AVIF", "avif"), ("BMP", "bmp"), ("GIF", "GIF")):
        (tmp_path / f"photo.{suffix}").write_bytes(encoded(scene(), format))
    depth = a_depth()
    for name in ("own.png", "own.tiff", "own.vis.png"):
        depth.save(tmp_path / name)
    found = gather([str(tmp_path)], recursive=False)
    names = {photo.name.rpartition("/")[2] for photo in found.photos}
    assert names == {"photo.tif", "photo.avif", "photo.bmp", "photo.GIF"} and not found.failures


@pytest.mark.slow
def test_one_option_raises_the_limits_on_pixels(glpn: RunGlpn, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.png"
    path.write_bytes(encoded(np.zeros((4000, 13_000), np.uint8), "PNG"))
    common = ("-m", model, "-o", tmp_path / "out", "--format", "none")
    run = glpn("predict", path, *common)
    assert run.code == 65
    assert "52.0 megapixels; the limit is 50 (--max-megapixels" in run.err
    assert glpn("predict", path, *common, "--max-megapixels", "130").code == 0
    assert glpn("predict", path, *common, "--max-megapixels", "0").code == 2


def test_a_video_is_sent_to_the_verb_for_videos(glpn: RunGlpn, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "walk.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    run = glpn("predict", path, "-m", model, "-o", tmp_path / "out")
    assert run.code == 65 and "a video; use `glpn video`" in run.err


def test_one_file_on_standard_output_obeys_the_limit_and_takes_no_other_output(
    glpn: RunGlpn, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "long.png"
    path.write_bytes(encoded(np.zeros((50, 100), np.uint8), "PNG"))
    common = ("predict", path, "-m", model, "-o", "-", "--format", "npz")
    run = glpn(*common, "--max-megapixels", 0.001)
    assert run.code == 65 and "--max-megapixels 1, or" in run.err
    for option in (("--json",), ("--shard", "1/2"), ("--sheet", tmp_path / "sheet.png")):
        run = glpn(*common, *option)
        assert run.code == 2 and f"{option[0]}: not with -o -" in run.err and not run.out
