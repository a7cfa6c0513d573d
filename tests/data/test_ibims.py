"""iBims-1's MATLAB files: what is in them comes out, and what is wrong with them is named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glpn.data.datasets import open_dataset
from glpn.data.ibims import read_scene, scene_files
from glpn.data.layouts import known_layout, recognise
from glpn.errors import DataError, MissingDependency, MissingInput
from tests import scenes

pytest.importorskip("scipy")


def test_a_scene_is_what_its_file_says(tmp_path: Path) -> None:
    values = scenes.fields()
    values["depth"][0, :4] = (0, np.nan, np.inf, -1)
    values["mask_invalid"][1, 0] = 0
    values["mask_transp"][2, 0] = 0
    scene = read_scene(scenes.write(tmp_path / "a.mat", values))
    unknown = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (2, 0)]
    assert [tuple(place) for place in np.argwhere(scene.depth == 0)] == unknown
    assert np.array_equal(scene.depth[3:], values["depth"][3:])
    assert np.array_equal(scene.image, values["rgb"]) and scene.edges.sum() == 30
    assert [plane.kind for plane in scene.planes] == ["wall", "wall", "floor"]
    assert [plane.normal for plane in scene.planes] == [(0, 1, 0), (0, 1, 0), (0, 0, 1)]
    assert [plane.mask.sum() for plane in scene.planes] == [30 * 40, 30 * 24, 14 * 64]


@pytest.mark.parametrize("turned", [False, True])
def test_the_camera_counts_from_0_however_the_matrix_lies(tmp_path: Path, turned: bool) -> None:
    values = scenes.fields()
    values["calib"] = values["calib"].T if turned else values["calib"]
    camera = read_scene(scenes.write(tmp_path / "a.mat", values)).camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (60, 60, *scenes.MIDDLE)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("edges", None, "no field 'edges'"),
        ("mask_floor_paras", None, "no field 'mask_floor_paras'"),
        ("edges", np.zeros((3, 4)), r"edges: .* got .*\[3, 4\]"),
        ("depth", np.zeros((3, 4)), r"edges: expected numbers of the depth's shape"),
        ("depth", "far", "depth: expected numbers"),
        ("rgb", np.zeros((48, 64)), r"rgb: expected uint8 \[48, 64, 3\]"),
        ("calib", np.eye(2), "calib: expected 3x3"),
        ("calib", np.zeros((3, 3)), "calib: expected focal lengths above 0"),
        ("mask_wall_paras", np.ones((1, 2)), "mask_wall_paras: expected finite rows of 4"),
        ("mask_wall_paras", np.full((1, 4), np.nan), "mask_wall_paras: expected finite rows of 4"),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(
    tmp_path: Path, field: str, value: Any, message: str
) -> None:
    values = scenes.fields()
    del values[field]
    if value is not None:
        values[field] = value
    with pytest.raises(DataError, match=rf"bad\.mat: .*{message}"):
        read_scene(scenes.write(tmp_path / "bad.mat", values))


def test_a_damaged_file_is_refused_by_name(tmp_path: Path) -> None:
    from scipy.io import savemat

    path = scenes.write(tmp_path / "bad.mat")
    whole = path.read_bytes()
    for damaged in (b"", b"no MATLAB file" * 30, whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"bad\.mat"):
            read_scene(path)
    savemat(str(path), {"data": np.eye(3)})
    with pytest.raises(DataError, match=r"bad\.mat: no field 'rgb' in 'data'"):
        read_scene(path)
    savemat(str(path), {"other": np.eye(3)})
    with pytest.raises(DataError, match=r"bad\.mat: expected a MATLAB v5 file with 'data'"):
        read_scene(path)
    with pytest.raises(MissingInput, match=r"absent\.mat"):
        read_scene(tmp_path / "absent.mat")


def test_scipy_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scenes.write(tmp_path / "a.mat")
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(MissingDependency, match=r"a\.mat: .* scipy: pip install .*\.\[train\]"):
        read_scene(path)


@pytest.mark.parametrize("folder", [".", "ibims1_core_mat"])
def test_the_release_is_recognised_and_read_as_frames(tmp_path: Path, folder: str) -> None:
    scenes.release(tmp_path / folder)
    assert recognise(tmp_path).name == "ibims1"
    frames = open_dataset(tmp_path)
    assert frames.names == ("room_0", "room_1")
    sample = frames[1]
    assert np.array_equal(sample.image, scenes.fields(1)["rgb"]) and sample.scene is None
    assert np.allclose(sample.depth, scenes.fields()["depth"], rtol=1e-6)
    assert sample.camera is not None and sample.camera.cx == scenes.MIDDLE[0]


def test_a_named_set_needs_no_list(tmp_path: Path) -> None:
    scenes.write(tmp_path / "room.mat")
    assert known_layout(tmp_path, "ibims1").spec.rgb == "**/{stem}.mat"
    assert known_layout(tmp_path / "elsewhere", "ibims1").spec.rgb == "rgb/{stem}.png"


def test_other_sets_matlab_files_are_not_taken_for_scenes(tmp_path: Path) -> None:
    scenes.write(tmp_path / "splits.mat")
    with pytest.raises(MissingInput, match="no frames with depth recognised"):
        recognise(tmp_path)


def test_scene_files_are_found_by_name_anywhere_below(tmp_path: Path) -> None:
    for name in ("a.mat", "mat/b.mat", "other.mat"):
        scenes.write(tmp_path / name)
    wanted = {"a": tmp_path / "a.mat", "b": tmp_path / "mat/b.mat"}
    assert scene_files(tmp_path, ["a", "b", "c"]) == wanted
