"""`glpn predict --tiles`: said in the files, never mixed, refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glpn as library
from tests.cli.conftest import Run, RunGlpn


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A JPEG so large that a reader in a hurry would take less than all of it."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    path = tmp_path / "large.jpg"
    Image.fromarray(noise).resize((1280, 960), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def predict_bundled(glpn: RunGlpn, tmp_path: Path) -> RunGlpn:
    def run(*arguments: object) -> Run:
        folder = tmp_path / "out"
        return glpn(
            "predict", *map(str, arguments), "-o", str(folder), "--format", "npz", "--threads", "1"
        )

    return run


@pytest.mark.slow
def test_tiles_are_of_the_whole_photograph_and_said_in_its_file(
    predict_bundled: RunGlpn, large: Path, tmp_path: Path
) -> None:
    run = predict_bundled(large, "--tiles", "2")
    assert run.code == 0, run.err
    depth = library.read_depth(tmp_path / "out/large.npz")
    assert depth.provenance.asked == "tiles=2"
    assert depth.provenance.note == "detail from 2x2 tiles"
    engine = depth.provenance.engine
    wanted = library.load(engine=engine, threads=1)(large, tiles=2)
    np.testing.assert_allclose(depth.metres, wanted.metres, rtol=1e-5)


def test_with_and_without_tiles_are_never_mixed_in_a_folder_run(
    predict_bundled: RunGlpn, large: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    large.rename(photos / "large.jpg")
    assert predict_bundled(photos).code == 0
    before = (tmp_path / "out/large.npz").read_bytes()
    run = predict_bundled(photos, "--tiles", "auto")
    assert run.code == 73 and "no options, not tiles=auto" in run.err
    assert (tmp_path / "out/large.npz").read_bytes() == before


def test_tiles_of_one_photo_replace_its_output_without_them(
    predict_bundled: RunGlpn, large: Path, tmp_path: Path
) -> None:
    assert predict_bundled(large).code == 0
    assert predict_bundled(large, "--tiles", "2").code == 0
    assert library.read_depth(tmp_path / "out/large.npz").provenance.asked == "tiles=2"


@pytest.mark.parametrize("value", ["0", "-2", "some", "1.5", "02"])
def test_what_is_no_number_of_tiles_is_refused(
    predict_bundled: RunGlpn, large: Path, tmp_path: Path, value: str
) -> None:
    run = predict_bundled(large, "--tiles", value)
    assert run.code == 2 and "--tiles: expected auto or a whole number above 0" in run.err
    assert not (tmp_path / "out").exists()


def test_tiles_with_an_uncertainty_are_refused(
    predict_bundled: RunGlpn, large: Path, tmp_path: Path
) -> None:
    run = predict_bundled(large, "--tiles", "2", "--uncertainty", "flip")
    assert run.code == 2 and "no uncertainty" in run.err
    assert not (tmp_path / "out").exists()
