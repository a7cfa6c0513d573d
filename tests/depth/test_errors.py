"""Measured errors: their curve, their record in a model's folder, and what a depth says of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glpn
from glpn.camera.camera import Camera
from glpn.data.sample import Sample
from glpn.depth.errors import COVERAGE, ErrorBin, ErrorCurve, Widening
from glpn.errors import CheckpointError, ConfigError, DataError
from glpn.estimator import DepthEstimator
from glpn.evaluation.error_curve import error_curve, measure_errors
from glpn.evaluation.protocols import protocol
from glpn.jobs.report import MeasuredPlaces, PhotoReport
from glpn.processing.processor import GLPNImageProcessor
from glpn.weights import read_errors, require_intact, sign, write_errors
from tests.depths import a_depth, a_plane

CURVE = ErrorCurve("rooms", 50, 0.2, (ErrorBin(1.0, 0.1, 500), ErrorBin(3.0, 0.3, 500)))


class TwoMetres:
    """A stand-in network."""

    name = "stand-in"
    config = glpn.GLPNConfig()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return np.full((len(pixels), *pixels.shape[2:]), 2, np.float32)


def estimator() -> Any:
    processor = GLPNImageProcessor(focal_ratio=1.0)
    return DepthEstimator(TwoMetres(), processor, a_depth().provenance, CURVE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_the_error_is_linear_between_bins_and_constant_beyond() -> None:
    metres = np.array([[0.5, 1, 2, 3, 9]], np.float32)
    np.testing.assert_allclose(CURVE.relative(metres), [[0.1, 0.1, 0.2, 0.3, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(CURVE.sigma(metres), [[0.05, 0.1, 0.4, 0.9, 2.7]], rtol=1e-6)
    assert CURVE.typical(np.array([[0, 0, 1, 1, 3]], np.float32)) == pytest.approx(0.1)
    assert CURVE.typical(np.zeros((2, 2), np.float32)) == 0.2  # nothing is known


def test_two_thirds_of_the_pixels_lie_within_a_fitted_sigma_at_every_depth() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.uniform(0.5, 8, 200_000)
    spread = 0.05 * predicted  # errors of 2.5 % near and 40 % far
    true = predicted * (1 + rng.normal(0, spread))
    curve = error_curve(predicted, true, data="d", frames=3)
    within = np.abs(true - predicted) <= curve.sigma(predicted)
    for near, far in ((0.5, 2), (2, 4), (4, 8)):
        chosen = (predicted >= near) & (predicted < far)
        assert within[chosen].mean() == pytest.approx(COVERAGE, abs=0.02)
    assert sum(bin_.pixels for bin_ in curve.bins) == 200_000 and curve.frames == 3


def test_errors_of_longer_lenses_are_wider_between_and_beyond_those_measured() -> None:
    curve = replace(CURVE, longer=(Widening(1.5, 1.2), Widening(3.0, 1.6)))
    for focal, factor in ((0.5, 1), (1, 1), (1.5, 1.2), (4.5**0.5, 1.4), (3, 1.6), (9, 1.6)):
        scaled = curve.scaled(focal)
        assert scaled.error == pytest.approx(0.2 * factor)
        assert [b.error for b in scaled.bins] == pytest.approx([0.1 * factor, 0.3 * factor])
        assert [b.depth for b in scaled.bins] == pytest.approx([focal, 3 * focal])


def test_an_uncertainty_keeps_the_wider_errors_of_longer_lenses() -> None:
    photo = np.zeros((64, 96, 3), np.uint8)
    wide = estimator()
    wide.errors = replace(CURVE, longer=(Widening(2.0, 1.5),))
    for focal in (32.0, 64.0, 128.0):
        plain = wide(photo, focal=focal)
        # A stand-in that sees no difference between the photo and its mirror image adds nothing.
        np.testing.assert_allclose(
            wide(photo, focal=focal, uncertainty="flip").sigma, plain.sigma, rtol=1e-6
        )
    # 2 m at twice the focal length is 4 m, and 0.2 of it times 1.5 is 1.2 m.
    np.testing.assert_allclose(plain.sigma, 1.2, rtol=1e-6)


def test_the_middle_of_a_frame_measures_longer_lenses() -> None:
    frame = Sample("a", np.zeros((64, 96, 3), np.uint8), np.full((64, 96), 2.2, np.float32))
    rules = protocol("folder")
    curve = measure_errors([frame], estimator(), protocol=rules, data="d")
    # The network always says 2 m: 2 m times the zoom for the middle of the frame.
    assert curve.error == pytest.approx(0.1, abs=1e-4)
    found = {w.focal: w.factor for w in curve.longer}
    assert found == pytest.approx({1.4: (1 - 2.2 / 2.8) / 0.1, 2.0: (1 - 2.2 / 4) / 0.1}, rel=1e-3)


def test_the_focal_length_counts_in_the_crop_that_the_network_sees() -> None:
    size = (376, 1241)  # the KB crop keeps 352x1216
    camera = Camera(fx=721, fy=721, cx=620, cy=188, source="test")
    true = np.full(size, 8, np.float32)
    frame = Sample("a", np.zeros((*size, 3), np.uint8), true, camera=camera)
    rules = protocol("kitti")
    curve = measure_errors([frame], estimator(), protocol=rules, data="d")
    factor = camera.focal_factor(1.0, (352, 1216))
    assert factor != pytest.approx(camera.focal_factor(1.0, size), rel=0.01)
    assert curve.error == pytest.approx(abs(8 / factor / 2 - 1), abs=1e-3)


def test_equal_depths_make_one_bin() -> None:
    curve = error_curve(np.full(1000, 10.0), np.full(1000, 12.0), data="d", frames=1)
    assert [b.depth for b in curve.bins] == [10] and curve.error == pytest.approx(0.2)


def test_a_record_is_read_back_and_signed(folder: Path) -> None:
    sign(folder)
    path = write_errors(folder, CURVE)
    assert read_errors(folder) == CURVE
    assert path.name in json.loads((folder / "checksums.json").read_text())["files"]
    path.write_text(path.read_text().replace("0.3", "0.1"))
    with pytest.raises(CheckpointError, match=r"errors\.json: does not match"):
        require_intact(folder)


def test_errors_of_other_weights_do_not_count(folder: Path) -> None:
    assert read_errors(folder) is None
    write_errors(folder, CURVE)
    (folder / "model.safetensors").write_bytes(b"other weights")
    assert read_errors(folder) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "glpn-errors-9"}, "expected the format"),
        ({"weights_sha256": None}, "weights_sha256"),
        ({"curve": {"data": "d", "frames": 1, "error": 0.1, "bins": []}}, "bins: expected"),
        ({"curve": {"data": "d", "frames": 1, "error": -1, "bins": [[1, 1, 1]]}}, "bins"),
        ({"curve": {"data": "d"}}, "a key is missing"),
        ({"curves": 1}, "curves"),
    ],
)
def test_a_damaged_record_is_refused_by_name(
    folder: Path, change: dict[str, Any], message: str
) -> None:
    path = write_errors(folder, CURVE)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=r"errors\.json: .*" + message):
        read_errors(folder)


@pytest.mark.parametrize("bins", [(), (ErrorBin(2, 0.1, 1), ErrorBin(1, 0.1, 1))])
def test_an_impossible_curve_is_refused(bins: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match="bins"):
        ErrorCurve("d", 1, 0.1, bins)


def test_a_depth_carries_its_error_and_a_sigma(tmp_path: Path) -> None:
    depth = estimator()(np.zeros((32, 64, 3), np.uint8))
    assert depth.relative_error == 0.2 and depth.given_sigma is None
    np.testing.assert_allclose(depth.sigma, 0.4, rtol=1e-6)
    assert depth.sigma_at(3, 4) == pytest.approx(0.4)
    read = glpn.read_depth(depth.save(tmp_path / "a.png"))
    assert read.relative_error == 0.2 and read.provenance.error_data == "50 frames of rooms"
    text = PhotoReport("a.jpg", depth, MeasuredPlaces((), ()), {}, {})
    assert depth.camera.is_assumed
    condition = " if the camera is as assumed"
    assert f"± 20 % for two thirds of the pixels{condition} (measured on 50" in text.line()
    known = estimator()(np.zeros((32, 64, 3), np.uint8), focal=32)
    line = PhotoReport("a.jpg", known, MeasuredPlaces((), ()), {}, {}).line()
    assert "± 20 % for two thirds of the pixels (measured on 50 frames of rooms)" in line
    assert text.record()["relative_error"] == 0.2


def test_a_known_camera_scales_metres_and_sigma_alike() -> None:
    depth = estimator()(np.zeros((32, 64, 3), np.uint8), focal=64)  # twice the network's camera
    np.testing.assert_allclose(depth.metres, 4)
    np.testing.assert_allclose(depth.sigma, 0.8, rtol=1e-6)


def test_flip_adds_disagreement_to_the_measured_error() -> None:
    class Mirrored(TwoMetres):
        def __call__(self, pixels: np.ndarray) -> np.ndarray:
            depth = super().__call__(pixels)
            depth[:, :, : depth.shape[2] // 2] = 3
            return depth

    sure = estimator()
    sure.engine = Mirrored()
    depth = sure(np.zeros((32, 64, 3), np.uint8), uncertainty="flip")
    expected = np.hypot(CURVE.sigma(depth.metres), 1 / np.sqrt(2))
    np.testing.assert_allclose(depth.given_sigma, expected, rtol=1e-5)


def test_without_a_record_there_is_no_error_to_state() -> None:
    depth = a_plane(np.ones((4, 4)))
    assert depth.relative_error is None and depth.sigma is None and depth.sigma_at(0, 0) is None


def test_a_calibrated_depth_claims_no_error_that_was_measured_without_calibration() -> None:
    plain = estimator()(np.zeros((32, 64, 3), np.uint8))
    depth = plain.with_references([(5, 5, 1.0)])
    assert plain.relative_error is not None
    assert depth.relative_error is None and depth.sigma is None
    given = replace(plain, sigma=plain.sigma).with_references([(5, 5, 1.0)])
    np.testing.assert_allclose(given.sigma, 0.2, rtol=1e-5)


def test_an_impossible_error_in_a_file_is_refused(tmp_path: Path) -> None:
    depth = replace(a_depth(), provenance=replace(a_depth().provenance, error=float("inf")))
    with pytest.raises((DataError, ValueError)):
        glpn.read_depth(depth.save(tmp_path / "a.npz"))
