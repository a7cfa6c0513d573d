"""Geometric errors of iBims-1 scenes: figures worked by hand, means over planes, the outputs."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glpn.data.ibims import read_scene
from glpn.data.sample import Sample
from glpn.errors import DataError
from glpn.evaluation.geometry import GEOMETRY_NAMES, SurveyedFrame, scene_errors
from glpn.evaluation.protocols import PROTOCOLS
from glpn.evaluation.result import Result
from glpn.evaluation.runner import evaluate
from tests import scenes
from tests.scenes import FAR

pytest.importorskip("scipy")


def surveyed(tmp_path: Path, name: str, values: Any = None) -> SurveyedFrame:
    scene = read_scene(scenes.write(tmp_path / f"{name}.mat", values))
    return SurveyedFrame(name, scene.image, scene.depth.astype(np.float32), geometry=scene)


def flat(image: np.ndarray) -> np.ndarray:
    return np.full(image.shape[:2], 2.5, np.float32)


def run(frames: Any, predict: Callable[..., Any] = flat, **changes: Any) -> Any:
    rules = PROTOCOLS["ibims"].replace(**changes) if changes else PROTOCOLS["ibims"]
    return evaluate(frames, predict, protocol=rules, model="abc")


def floorless() -> dict[str, Any]:
    values = scenes.fields()
    values["mask_floor_paras"] = np.zeros((0, 4))
    return values


def test_a_flat_prediction_has_the_errors_worked_by_hand(tmp_path: Path) -> None:
    [row] = run([surveyed(tmp_path, "a")]).geometry.rows
    assert (row.name, row.planes) == ("a", 3)
    assert row.errors == pytest.approx((0, 30, 10, 10, 1 - FAR, FAR, 0), abs=1e-6)


def test_a_perfect_prediction_has_no_errors_of_planes_and_sides(tmp_path: Path) -> None:
    frame = surveyed(tmp_path, "a")
    [row] = run([frame], lambda image: frame.depth).geometry.rows
    errors = row.errors._asdict()
    # Edges are found to a pixel, and that at the end of the floor, which the file does not have.
    assert 0 < errors.pop("dbe_acc") < 10 and 0 < errors.pop("dbe_comp") < 10
    assert list(errors.values()) == pytest.approx([0, 0, 1, 0, 0], abs=1e-4)


def test_planarity_is_averaged_over_planes_and_not_over_images(tmp_path: Path) -> None:
    frames = [surveyed(tmp_path, "a"), surveyed(tmp_path, "b", floorless())]
    geometry = run(frames).geometry
    assert [row.planes for row in geometry.rows] == [3, 2]
    assert [row.errors.pe_orie for row in geometry.rows] == pytest.approx([30, 0], abs=1e-6)
    assert geometry.means["pe_orie"].value == pytest.approx(90 / 5)


def test_images_without_planes_or_edges_count_where_they_can(tmp_path: Path) -> None:
    bare: dict[str, Any] = {**floorless(), "mask_wall_paras": np.zeros((0, 4))}
    bare["edges"] = np.zeros(scenes.SIZE, np.uint8)
    geometry = run([surveyed(tmp_path, "a"), surveyed(tmp_path, "b", bare)]).geometry
    none = [name for name, error in geometry.rows[1].errors._asdict().items() if math.isnan(error)]
    assert none == ["pe_plan", "pe_orie", "dbe_acc", "dbe_comp"]
    assert geometry.means["dbe_acc"].value == 10
    assert geometry.means["dde_too_near"].value == pytest.approx(FAR)
    alone = run([surveyed(tmp_path, "b", bare)])
    assert list(alone.geometry.means) == ["dde_correct", "dde_too_near", "dde_too_far"]
    assert Result.from_json(alone.to_json()).to_json() == alone.to_json()


def test_what_is_masked_is_in_no_error_but_the_edges(tmp_path: Path) -> None:
    values = scenes.fields()
    values["mask_transp"][:, scenes.EDGE :] = 0  # the far wall and a part of the floor
    [row] = run([surveyed(tmp_path, "a", values)]).geometry.rows
    assert row.planes == 2
    far = 6 * 40 / (48 * 40)
    assert row.errors == pytest.approx((0, 45, 10, 10, 1 - far, far, 0), abs=1e-6)


def test_depth_beyond_the_protocols_range_counts(tmp_path: Path) -> None:
    values = scenes.fields()
    values["depth"][:30, scenes.EDGE :] = 20
    [row] = run([surveyed(tmp_path, "a", values)]).geometry.rows
    assert row.errors.dde_too_near == pytest.approx(FAR)


def test_the_prediction_is_the_one_that_the_protocol_scores(tmp_path: Path) -> None:
    frame = surveyed(tmp_path, "a")
    doubled = run([frame], lambda image: 2 * frame.depth, alignment="median").geometry
    assert doubled.rows[0].errors.dde_correct == 1


def test_a_scene_of_another_size_is_refused_by_name(tmp_path: Path) -> None:
    scene = surveyed(tmp_path, "a").geometry
    with pytest.raises(DataError, match=r"kitchen: .* same shape"):
        scene_errors(np.ones((10, 10)), scene, name="kitchen")


def test_the_part_of_a_result_is_in_every_output_and_comes_back(tmp_path: Path) -> None:
    frames: list[Any] = [
        surveyed(tmp_path, f"room{i}", floorless() if i % 2 else None) for i in range(24)
    ]
    frames[3] = make_plain(frames[3])
    result = run(frames)
    again = Result.from_json(result.to_json())
    assert again == result and again.to_json() == result.to_json()
    interval = result.geometry.means["pe_orie"]
    assert interval.low < interval.value < interval.high  # images have three planes or two
    table = result.to_markdown()
    assert f"| pe_orie [°] ↓ | {interval.value:.4f} | {interval.low:.4f} to " in table
    assert "| dde_correct ↑ |" in table and "; geometry of 23, 58 planes" in table
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert [row["planes"] for row in rows[:4]] == ["3", "2", "3", ""]
    first = [float(rows[0][name]) for name in GEOMETRY_NAMES]
    assert first == list(result.geometry.rows[0].errors) and rows[3]["dbe_acc"] == ""


def make_plain(frame: Any) -> Sample:
    from glpn.data.sample import Sample

    return Sample(frame.name, frame.image, frame.depth, frame.scene)


def test_a_result_without_geometry_knows_nothing_of_it(tmp_path: Path) -> None:
    frame = surveyed(tmp_path, "a")
    plain, whole = run([make_plain(frame)]), run([frame])
    assert plain.geometry is None and "geometry" not in json.loads(plain.to_json())
    assert plain.to_csv().splitlines()[0].endswith(",silog_kitti")
    assert plain.to_csv().splitlines()[1] == whole.to_csv().splitlines()[1].rsplit(",", 8)[0]
    assert not any(name in plain.to_markdown() for name in GEOMETRY_NAMES)
    assert plain.rows == whole.rows


@pytest.mark.parametrize("damage", [{}, {"means": {}, "rows": [{"name": "a"}]}, None])
def test_a_damaged_part_is_refused_by_name(tmp_path: Path, damage: dict[str, Any] | None) -> None:
    values = json.loads(run([surveyed(tmp_path, "a")]).to_json())
    with pytest.raises(DataError, match="mine: not a result of glpn evaluate"):
        Result.from_json(json.dumps({**values, "geometry": damage}), name="mine")
