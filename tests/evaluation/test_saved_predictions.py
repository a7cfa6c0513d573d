"""Saved 16-bit predictions score as the model does, and only if the list is complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.errors import CannotCreateOutput, DataError, MissingInput
from glpn.evaluation.protocols import PROTOCOLS, Protocol
from glpn.evaluation.runner import evaluate
from glpn.evaluation.saved_predictions import PNG_SCALES, from_pngs, png_name, png_saver

from .frames import make_frame, make_frames, model

RULES = Protocol("plain")
NAMES = [frame.name for frame in make_frames(12)]


def saved(folder: Path, scale: float = 1000, count: int = 12) -> Any:
    save = png_saver(folder, scale=scale)
    return evaluate(make_frames(count), model, protocol=RULES, model="m", save=save)


def score(folder: Path, **options: Any) -> Any:
    frames = options.pop("frames", None) or make_frames(12)
    return from_pngs(
        frames, folder, **{"names": NAMES, "scale": 1000, "protocol": RULES, **options}
    )


def test_the_scales_are_the_published_ones() -> None:
    assert PNG_SCALES == {"nyu": 1000, "kitti": 256}


def test_file_names_join_folders_as_the_authors_do() -> None:
    assert png_name("bathroom/rgb_00045") == "bathroom_rgb_00045.png"


@pytest.mark.parametrize("scale", [1000, 256])
def test_files_hold_metres_times_scale_rounded(tmp_path: Path, scale: int) -> None:
    saved(tmp_path, scale, 1)
    with Image.open(tmp_path / "house0_frame00000.png") as image:
        assert image.mode == "I;16"
        stored = np.asarray(image).astype(float)
    expected = np.rint(model(make_frame(0).image).astype(np.float64) * scale)
    assert np.abs(stored - expected).max() <= 1


def test_saved_predictions_score_as_the_model_up_to_rounding(tmp_path: Path) -> None:
    direct = saved(tmp_path)
    read = score(tmp_path)
    assert [row.name for row in read.rows] == NAMES
    for name in ("abs_rel", "rmse", "log10", "silog_kitti"):
        assert read.means[name].value == pytest.approx(direct.means[name].value, rel=1e-3)


def test_missing_and_extra_files_are_errors_that_name_the_first_five(tmp_path: Path) -> None:
    saved(tmp_path)
    for frame in NAMES[2:9]:
        (tmp_path / png_name(frame)).unlink()
    with pytest.raises(MissingInput, match=r"7 predictions are missing: house1_frame00002\.png"):
        score(tmp_path)
    with pytest.raises(MissingInput, match=r"house3_frame00006\.png, \.\.\.$"):
        score(tmp_path)
    with pytest.raises(DataError, match=r"1 files belong to no frame: house5_frame00011\.png$"):
        score(tmp_path, names=[*NAMES[:2], *NAMES[9:11]])
    with pytest.raises(DataError, match=r"frames share a file: a_b\.png"):
        score(tmp_path, names=["a/b", "a_b"])
    with pytest.raises(MissingInput, match="no such folder"):
        score(tmp_path / "nowhere")


def test_a_file_of_another_kind_or_size_is_an_error_by_name(tmp_path: Path) -> None:
    saved(tmp_path)
    Image.new("L", (64, 48), 9).save(tmp_path / "house0_frame00001.png")
    with pytest.raises(DataError, match=r"house0_frame00001\.png: expected a 16-bit .* mode L"):
        score(tmp_path)
    Image.fromarray(np.full((24, 32), 900, np.uint16)).save(tmp_path / "house0_frame00001.png")
    with pytest.raises(DataError, match=r"house0/frame00001: prediction must have"):
        score(tmp_path)


def test_kitti_files_may_be_of_the_full_image_or_of_the_crop(tmp_path: Path) -> None:
    frame = make_frame(0, (375, 1242))
    units = np.rint(model(frame.image) * 256).astype(np.uint16)
    options = {"names": [frame.name], "scale": 256, "protocol": PROTOCOLS["kitti"]}
    scores = []
    for part in (units, units[23:, 13:1229]):
        Image.fromarray(np.ascontiguousarray(part)).save(tmp_path / png_name(frame.name))
        scores.append(score(tmp_path, frames=[frame], **options).rows)
    assert scores[0] == scores[1]


def test_a_zero_in_a_file_counts_as_the_nearest_depth(tmp_path: Path) -> None:
    frame = make_frame(0)
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(tmp_path / png_name(frame.name))
    found = score(tmp_path, frames=[frame], names=[frame.name]).rows[0].metrics
    depth = frame.depth[frame.depth > 0].astype(np.float64)
    assert found.rmse == pytest.approx(np.sqrt(np.mean((depth - 1e-3) ** 2)), rel=1e-6)


def test_nothing_is_overwritten_and_nothing_not_finite_is_saved(tmp_path: Path) -> None:
    save = png_saver(tmp_path, scale=1000)
    save("a", np.ones((2, 2)))
    with pytest.raises(CannotCreateOutput, match=r"a\.png: exists already"):
        save("a", np.ones((2, 2)))
    with pytest.raises(DataError, match="b: a prediction that is not finite"):
        save("b", np.array([[np.nan]]))


def test_saved_predictions_are_not_flip_averaged(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(DataError, match="flip"):
        score(tmp_path, protocol=RULES.replace(flip=True))
