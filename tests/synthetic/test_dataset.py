"""Datasets on disk: the files hold the rendered frames, and an interrupted run resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.data.datasets import open_dataset
from glpn.errors import UsageError
from glpn.synthetic import render, write_dataset

SIZE = (48, 64)


def written(folder: Path, count: int = 3, **options: Any) -> list[int]:
    return list(write_dataset(folder, count, size=SIZE, **options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rooms")
    assert written(folder, seed=4) == [0, 3]
    return folder


def test_depth_files_hold_the_rendered_millimetres(folder: Path) -> None:
    expected = render([4, 5, 6], SIZE).depth.numpy()
    for number, depth in zip((4, 5, 6), expected, strict=True):
        raw = np.asarray(Image.open(folder / "depth" / f"{number:07d}.png"))
        assert raw.dtype == np.uint16
        np.testing.assert_allclose(raw / 1000, depth, atol=0.00051)


def test_the_data_room_reads_it_with_metres_and_cameras(folder: Path) -> None:
    frames = open_dataset(folder)
    rendering = render([4, 5, 6], SIZE)
    assert len(frames) == 3
    for number in range(3):
        sample = frames[number]
        np.testing.assert_allclose(sample.depth, rendering.depth[number], atol=0.00051)
        assert sample.camera.fx == pytest.approx(rendering.cameras[number].fx)
        assert (sample.camera.cx, sample.camera.cy) == (31.5, 23.5)
        k1, k2 = rendering.distortion[number].tolist()
        assert sample.camera.distortion == ((k1, k2, 0, 0) if k1 or k2 else ())
        difference = np.abs(sample.image.astype(int) - rendering.image[number].numpy())
        assert difference.mean() < 12  # JPEG, chroma at half size


def test_preview_is_a_picture(folder: Path) -> None:
    with Image.open(folder / "preview.png") as sheet:
        assert sheet.mode == "RGB" and sheet.width >= 3 * 64


def test_frames_that_are_there_are_kept_and_missing_ones_made_again(folder: Path) -> None:
    kept = folder / "rgb" / "0000004.jpg"
    lost = folder / "depth" / "0000005.png"
    before, bytes_lost = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    assert written(folder, seed=4) == [2, 3]
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == bytes_lost


def test_another_recipe_in_the_same_folder_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="new folder"):
        list(write_dataset(folder, 1, size=(32, 32)))


def test_street_depth_is_in_256ths_of_a_metre_and_the_sky_is_unknown(tmp_path: Path) -> None:
    written(tmp_path, 1, kind="street")
    depth = render([0], SIZE, kind="street").depth[0].numpy()
    raw = np.asarray(Image.open(tmp_path / "depth" / "0000000.png"))
    near = depth < 255
    np.testing.assert_allclose(raw[near] / 256, depth[near], atol=0.002)
    assert (raw[depth == 0] == 0).all()
    sample = open_dataset(tmp_path)[0]
    np.testing.assert_allclose(sample.depth[near], depth[near], atol=0.002)


def test_camera_files_keep_the_distortion(folder: Path) -> None:
    values = json.loads((folder / "camera" / "0000004.json").read_text())
    assert values.keys() == {"fx", "fy", "cx", "cy", "k1", "k2"}


@pytest.mark.slow
def test_workers_write_the_bytes_that_one_process_writes(tmp_path: Path) -> None:
    written(tmp_path / "one", 9, views=3)
    assert written(tmp_path / "two", 9, views=3, workers=2) == [0, 8, 9]
    names = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert len(names) == 9 * 3 + 3
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("options", [{"count": 0}, {"kind": "moon"}, {"views": 0}, {"workers": 0}])
def test_impossible_requests_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="of at least 1"):
        written(tmp_path, **options)
    assert not (tmp_path / "rgb").exists()
