"""Sparse depth: scale, shift and local errors are found again, in spite of outliers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.depth.measurements import Measurements, read_sparse
from glpn.depth.provenance import Provenance
from glpn.depth.reading import read_depth
from glpn.depth.sparse import MAX_POINTS, fit_sparse
from glpn.errors import DataError, MissingInput, UsageError

SIZE = (120, 160)


def a_room() -> np.ndarray:
    """A slanted wall with a box in front of it, in metres."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    truth = 3 + 0.01 * x + 0.004 * y
    truth[40:90, 50:100] = 1.5
    return truth.astype(np.float32)


def points_of(truth: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = rng.integers(SIZE[0], size=count), rng.integers(SIZE[1], size=count)
    return np.stack([x, y, truth[y, x]], axis=1).astype(np.float64)


def abs_rel(estimate: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(np.abs(estimate - truth) / truth))


def a_depth(metres: np.ndarray, **values: Any) -> Depth:
    camera = Camera.assumed((metres.shape[0], metres.shape[1]))
    return Depth(metres, camera, Provenance("tiny", "", "", "", max_depth=10.0), **values)


def test_a_global_error_is_removed_by_scale_and_shift_only() -> None:
    truth = a_room()
    fit = fit_sparse((truth - 0.4) / 1.7, points_of(truth, 100))
    assert (fit.scale, fit.shift) == pytest.approx((1.7, 0.4), abs=0.02)
    assert abs_rel(fit.metres, truth) < 0.002


def test_a_smooth_local_error_is_removed_where_there_are_points() -> None:
    truth = a_room()
    x = np.linspace(-1, 1, SIZE[1], dtype=np.float32)
    estimate = truth * np.exp(0.3 * np.sin(3 * x))
    fit = fit_sparse(estimate, points_of(truth, 200))
    assert fit.local
    assert abs_rel(fit.metres, truth) < 0.2 * abs_rel(fit.scale * estimate + fit.shift, truth)
    assert fit.error < 0.2 * fit.global_error


def test_a_tenth_of_outliers_changes_little_and_is_counted() -> None:
    truth = a_room()
    points = points_of(truth, 200)
    points[::10, 2] *= 3
    fit = fit_sparse(truth / 1.5, points)
    assert abs_rel(fit.metres, truth) < 0.02
    assert fit.outliers >= 18


def test_the_leave_one_out_error_is_the_error_of_new_points() -> None:
    rng = np.random.default_rng(1)
    truth = a_room()
    waves = np.exp(0.2 * np.sin(np.linspace(0, 9, SIZE[0])))[:, None]
    estimate = (truth * waves * np.exp(0.02 * rng.standard_normal(SIZE))).astype(np.float32)
    fit = fit_sparse(estimate, points_of(truth, 150))
    assert fit.error == pytest.approx(abs_rel(fit.metres, truth), rel=0.4)


def test_noise_alone_earns_no_local_correction() -> None:
    rng = np.random.default_rng(2)
    truth = a_room()
    points = points_of(truth, 60)
    points[:, 2] *= np.exp(0.05 * rng.standard_normal(60))
    fit = fit_sparse(truth, points)
    assert abs_rel(fit.metres, truth) < 0.03


@pytest.mark.slow
def test_unknown_pixels_stay_unknown_and_dense_maps_are_thinned() -> None:
    truth = a_room()
    truth[:20] = 0
    y, x = np.nonzero(truth)
    points = np.stack([x, y, truth[y, x]], axis=1).astype(np.float64)
    fit = fit_sparse(truth / 2, points)
    assert fit.points <= MAX_POINTS * 1.2
    assert ((fit.metres == 0) == (truth == 0)).all()


@pytest.mark.slow
def test_a_low_resolution_map_fits_the_depth_and_the_provenance_says_so(tmp_path: Path) -> None:
    truth = a_room()
    small = a_depth(np.ascontiguousarray(truth[2::5, 2::5]))
    read = read_sparse(small.save(tmp_path / "phone.png"))
    sigma = np.full(SIZE, 0.1, np.float32)
    depth = a_depth(truth / 2, sigma=sigma).calibrate(Measurements(sparse=read))
    assert abs_rel(depth.metres, truth) < 0.01
    assert depth.sigma.mean() == pytest.approx(0.2, rel=0.02)
    note = depth.provenance.note
    assert note.startswith("metres multiplied by") and "leave-one-out error" in note
    assert read_depth(depth.save(tmp_path / "a.npz")).provenance.note == note


@pytest.mark.parametrize("size", [(256, 192), (192, 192), (192, 260)])
def test_a_map_of_another_shape_is_refused_with_both_sizes(size: tuple[int, int]) -> None:
    depth = a_depth(np.full((192, 256), 2, np.float32))
    words = f"256x192, got {size[1]}x{size[0]}: is it rotated or cropped"
    with pytest.raises(DataError, match=words):
        depth.with_sparse(a_depth(np.full(size, 3, np.float32)))


@pytest.mark.parametrize("size", [(32, 57), (45, 80), (256, 456)])
def test_a_map_whose_sides_were_rounded_is_fitted(size: tuple[int, int]) -> None:
    depth = a_depth(np.full((180, 320), 2, np.float32))
    fitted = depth.with_sparse(a_depth(np.full(size, 3, np.float32)))
    assert np.median(fitted.metres) == pytest.approx(3, rel=1e-3)


def test_points_are_read_from_csv_with_a_header_and_from_plain_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,depth,id\n10,20,1.5,a\n30.5,40,2,b\n")
    (tmp_path / "a.txt").write_text("# SLAM\n10 20 1500\n30.5 40 2000\n")
    assert list(read_sparse(tmp_path / "a.csv")) == [(10, 20, 1.5), (30.5, 40, 2)]
    assert list(read_sparse(tmp_path / "a.txt", scale=1000)) == [(10, 20, 1.5), (30.5, 40, 2)]


@pytest.mark.parametrize(
    "text, message", [("", "no points"), ("1,2,3\n1,2\n", "line 2"), ("1,2,inf\n", "line 1")]
)
def test_files_without_points_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match=rf"p\.csv.*{message}"):
        read_sparse(tmp_path / "p.csv")
    with pytest.raises(MissingInput, match=r"none\.csv"):
        read_sparse(tmp_path / "none.csv")


@pytest.mark.parametrize("bad", [(160, 5, 2), (-1, 5, 2), (5, 5, 0), (5, 5, -1)])
def test_points_outside_or_without_depth_are_refused(bad: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="metres above 0"):
        a_depth(a_room()).with_sparse([(1, 1, 3), (2, 2, 3), (3, 3, 3), bad])


def test_too_few_points_are_refused() -> None:
    with pytest.raises(DataError, match="at least 3 points where the estimate is known, got 2"):
        a_depth(a_room()).with_sparse([(1, 1, 3), (2, 2, 3)])
    with pytest.raises(UsageError, match="finite"):
        a_depth(a_room()).with_sparse([(1, 1, np.nan)])


def test_the_camera_and_photo_are_kept() -> None:
    depth = a_depth(a_room())
    depth = dataclasses.replace(depth, image=np.zeros((*SIZE, 3), np.uint8))
    fitted = depth.with_sparse(points_of(a_room(), 30))
    assert fitted.camera == depth.camera and fitted.image is not None


def test_a_comma_between_semicolons_or_tabs_is_a_decimal_point(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x;y;m\n10,5;20;1,5\n30;40;2\n")
    (tmp_path / "a.txt").write_text("10,5\t20\t1,5\n30\t40\t2\n")
    for name in ("a.csv", "a.txt"):
        assert list(read_sparse(tmp_path / name)) == [(10.5, 20, 1.5), (30, 40, 2)]
