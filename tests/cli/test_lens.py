"""The camera and measurement options of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glpn as library
from glpn.depth.measurements import Measurements
from tests.cli.conftest import RunGlpn

YAML = """\
image_width: 256
image_height: 192
camera_matrix: {data: [200, 0, 127, 0, 200, 95, 0, 0, 1]}
distortion_coefficients: {data: [-0.1, 0.02, 0.001, 0.002]}
"""


def test_intrinsics_are_fitted_to_the_photograph_and_measured_with(
    predict: RunGlpn, photo: Path, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "head.yaml"
    path.write_text(YAML)
    run = predict(photo, "--json", "--intrinsics", path, "--between", "7,9,80,60")
    assert run.code == 0, run.err
    [record] = run.records
    assert record["camera"]["fx"] == 100  # 256 pixels calibrated, 128 taken
    assert record["camera"]["distortion"] == [-0.1, 0.02, 0.001, 0.002]
    assert record["camera"]["source"] == "intrinsics of head.yaml"
    known = library.read_intrinsics(path)
    depth = library.load(model, threads=1)(photo, camera=known)
    [between] = record["between"]
    assert between["metres"] == pytest.approx(depth.between((7, 9), (80, 60)), abs=1e-4)
    saved = library.read_depth(tmp_path / "out/room.png")
    assert saved.camera == depth.camera


def test_a_reference_is_met_and_noted(predict: RunGlpn, photo: Path) -> None:
    run = predict(photo, "--json", "--format", "none", "--ref", "40,30,2.5", "--at", "40,30")
    [record] = run.records
    assert record["at"][0]["metres"] == pytest.approx(2.5, abs=1e-4)
    assert record["provenance"]["note"].endswith("for 1 reference")


def test_a_known_length_is_met(predict: RunGlpn, photo: Path) -> None:
    known = "7,9,80,60"
    run = predict(photo, "--json", "--format", "none", "--known", f"{known},3", "--between", known)
    assert run.records[0]["between"][0]["metres"] == pytest.approx(3, abs=1e-4)


def test_several_references_are_those_of_the_python_door(
    predict: RunGlpn, photo: Path, model: Path
) -> None:
    places = ((40, 30, 2.5), (100, 80, 1.5), (10, 90, 2.0))
    options = [part for place in places for part in ("--ref", ",".join(map(str, place)))]
    run = predict(photo, "--json", "--format", "none", "--at", "7,9", *options)
    depth = library.load(model, threads=1)(photo, measurements=Measurements(references=places))
    assert run.records[0]["at"][0]["metres"] == pytest.approx(depth.at(7, 9), abs=1e-4)


def test_sparse_depth_is_met_and_noted(predict: RunGlpn, photo: Path, tmp_path: Path) -> None:
    rows = [f"{x},{y},{2 + x / 100}" for x in range(4, 128, 12) for y in range(4, 96, 12)]
    (tmp_path / "points.csv").write_text("x,y,metres\n" + "\n".join(rows))
    options = ("--json", "--format", "none", "--sparse", tmp_path / "points.csv", "--at", "64,40")
    [record] = predict(photo, *options).records
    assert record["at"][0]["metres"] == pytest.approx(2.64, rel=0.1)
    assert "points of sparse depth" in record["provenance"]["note"]


def test_an_edited_file_of_sparse_depth_changes_the_depth(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    points = tmp_path / "points.csv"
    medians = []
    for metres in (2, 4):
        points.write_text("".join(f"{x},{y},{metres}\n" for x in (20, 64, 100) for y in (20, 70)))
        assert predict(photo, "--format", "png16", "--sparse", points).code == 0
        medians.append(float(np.median(library.read_depth(tmp_path / "out/room.png").metres)))
    assert medians[1] == pytest.approx(2 * medians[0], rel=0.01)


def test_sparse_depth_map_needs_a_unit(predict: RunGlpn, photo: Path, tmp_path: Path) -> None:
    path = tmp_path / "lidar.png"
    Image.fromarray(np.full((12, 16), 2500, np.uint16)).save(path)
    run = predict(photo, "--format", "none", "--sparse", path)
    assert run.code == 2 and "the file does not state its unit" in run.err
    run = predict(photo, "--json", "--format", "none", "--sparse", path, "--sparse-scale", "1000")
    assert run.records[0]["median"] == pytest.approx(2.5, rel=0.1)


def test_sparse_depth_of_many_photos_is_refused(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "points.csv").write_text("1,1,1\n")
    run = predict(photo, photo, "--sparse", tmp_path / "points.csv")
    assert run.code == 2 and "--sparse: belongs to one photo" in run.err


@pytest.mark.parametrize(
    "options, message",
    [
        (["--ref", "1,2"], "--ref: expected x,y in pixels of the photo and metres, got '1,2'"),
        (["--ref", "1,2,-3"], "--ref: expected 3 numbers, the last a length above 0"),
        (["--known", "1,2,3,4"], "--known: expected x0,y0,x1,y1 in pixels"),
        (["--ref", "1,2,3", "--known", "1,2,3,4,5"], "--ref, --known, --sparse: give one kind"),
        (["--fov", "60", "--known", "1,2,3,4,5", "--known", "1,2,3,9,5"], "leave --focal, --fov"),
        (["--focal", "60", "--intrinsics", "K.txt"], "--intrinsics: give at most one"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    predict: RunGlpn, photo: Path, options: list[str], message: str
) -> None:
    run = predict(photo, *options)
    assert (run.code, run.out) == (2, "")
    assert message in run.err


def test_absent_and_wrong_intrinsics_are_refused_by_name(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    run = predict(photo, "--intrinsics", tmp_path / "none.yaml")
    assert run.code == 66 and "none.yaml: no such intrinsics file" in run.err
    run = predict(photo, "--intrinsics", photo)
    assert run.code == 65 and "room.jpg: not text" in run.err
    (tmp_path / "K.txt").write_text("1400 0 960 0 1400 540 0 0 1")
    run = predict(photo, "--intrinsics", tmp_path / "K.txt")
    assert run.code == 65
    assert f"{photo}: intrinsics of K.txt: the principal point (960, 540) is outside" in run.err


def test_reference_outside_one_photograph_leaves_the_others_alone(
    predict: RunGlpn, photo: Path
) -> None:
    run = predict(photo, "--format", "none", "--ref", "500,2,3")
    assert run.code == 2 and f"{photo}: (500.0, 2.0) is outside" in run.err
