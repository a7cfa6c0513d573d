"""Labels with a fault that looks plausible: found on sets of rendered rooms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.data.doctor import check
from glpn.data.scales import scale_hint
from glpn.errors import DataError
from glpn.synthetic.dataset import write_dataset
from tests.data.rooms import Frames

MM = DatasetSpec(unit="mm")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """Fourteen small rendered rooms in memory, without their cameras."""
    folder = tmp_path_factory.mktemp("rooms")
    assert list(write_dataset(folder, 14, seed=50, size=(96, 128)))[-1] == 14
    frames = open_dataset(folder)
    return Frames(
        dataclasses.replace(sample, name=f"room{i:03}", camera=None)
        for i, sample in enumerate(frames)
    )


def put(
    root: Path,
    frames: Frames,
    change: Callable[..., Any] = lambda raw: raw,
    only: Any = None,
    exif: Any = None,
) -> Path:
    """A folder of PNG files in millimetres, changed by `change(raw)`."""
    for folder in ("rgb", "depth"):
        (root / folder).mkdir(parents=True)
    for i, sample in enumerate(frames.samples):
        raw = np.rint(sample.depth * 1000)
        if only is None or i in only:
            raw = change(raw)
        image = Image.fromarray(sample.image)
        options = {}
        if exif is not None:  # stored as a turned sensor saw it
            image = image.transpose(Image.Transpose.ROTATE_90)
            options = {"exif": image.getexif()}
            options["exif"][0x0112] = 6
        image.save(root / f"rgb/{sample.name}.png", **options)
        Image.fromarray(raw.clip(0, 65535).astype(np.uint16)).save(
            root / f"depth/{sample.name}.png"
        )
    return root


def holes(raw: np.ndarray, value: Any) -> np.ndarray:
    raw = raw.copy()
    raw[np.random.default_rng(3).random(raw.shape) < 0.3] = value
    return raw


def kinds(report: Any) -> set[str]:
    return {finding.kind for finding in report.findings}


@pytest.mark.slow
@pytest.mark.parametrize("factor", [5, 4, 10, 0.1, 0.256])
def test_a_stated_unit_that_is_wrong_by_a_plausible_factor_is_found(
    healthy: Frames, tmp_path: Path, factor: float
) -> None:
    frames = open_dataset(put(tmp_path / "set", healthy, lambda raw: raw * factor), MM)
    assert "unit" in kinds(check(frames))


@pytest.mark.slow
def test_true_millimetres_are_no_finding(healthy: Frames, tmp_path: Path) -> None:
    assert check(open_dataset(put(tmp_path / "set", healthy), MM)).findings == ()


@pytest.mark.parametrize("factor", [4, 5])
def test_the_step_between_values_tells_an_unstated_unit(
    healthy: Frames, tmp_path: Path, factor: int
) -> None:
    frames = open_dataset(put(tmp_path / "set", healthy, lambda raw: raw * factor))
    assert frames.reading.form.scale == 1000 * factor
    assert any("guessed" in warning for warning in frames.warnings)


def test_two_scales_about_as_likely_are_refused_with_the_option(
    healthy: Frames, tmp_path: Path
) -> None:
    # no model, no step: 1/4000 or 1/5000 m
    folder = put(tmp_path / "set", healthy, lambda raw: np.rint(raw * 5.713))
    with pytest.raises(DataError, match=r"about as likely; give scale or unit"):
        open_dataset(folder)


def test_a_camera_file_beside_the_frames_states_the_scale(healthy: Frames, tmp_path: Path) -> None:
    folder = put(tmp_path / "set", healthy, lambda raw: raw * 5)
    (folder / "camera.yaml").write_text("%YAML:1.0\nDepthMapFactor: 5000.0\n")
    frames = open_dataset(folder)
    assert frames.reading.form.scale == 5000
    assert "from camera.yaml" in str(frames.warnings)


@pytest.mark.parametrize(
    ("text", "steps"),
    [('{"depth_scale": 0.001}', 1000), ('{"png_depth_scale": 6553.5}', 6553.5), ("depth: 3", None),
     ('{"depth_scale": 1.0}', None), ('{"depth_scale": "x"}', None)],
)  # fmt: skip
def test_scales_in_camera_files_are_read_where_they_are_unambiguous(
    tmp_path: Path, text: str, steps: float | None
) -> None:
    (tmp_path / "camera.json").write_text(text)
    assert scale_hint(tmp_path) == (None if steps is None else (steps, "camera.json"))


def test_frame_by_frame_normalised_depth_is_refused_or_found(
    healthy: Frames, tmp_path: Path
) -> None:
    folder = put(tmp_path / "set", healthy, lambda raw: raw * (65535 / raw.max()))
    with pytest.raises(DataError, match="frame by frame"):
        open_dataset(folder)
    frames = open_dataset(folder, DatasetSpec(scale=65535 / 5))
    assert "frame by frame" in str(frames.warnings)
    assert "normalised" in kinds(check(frames))


@pytest.mark.parametrize("factor", [10, 5, 0.1])
def test_one_frame_with_another_unit_is_named(
    healthy: Frames, tmp_path: Path, factor: float
) -> None:
    folder = put(tmp_path / "set", healthy, lambda raw: raw * factor, only={5})
    assert check(open_dataset(folder, MM)).frames == {"room005": ("unit",)}


@pytest.mark.parametrize("value", [65535, 9000])
def test_unknown_depth_stored_as_a_large_value_is_excluded_and_reported(
    healthy: Frames, tmp_path: Path, value: int
) -> None:
    frames = open_dataset(put(tmp_path / "set", healthy, lambda raw: holes(raw, value)), MM)
    assert frames.reading.form.invalid == (0, value)
    assert f"{value:g} (30%) of the pixels" in str(frames.warnings)
    assert frames[0].depth.max() < 8
    assert check(frames).findings == ()


def test_stated_invalid_values_are_kept_and_the_spike_is_an_error(
    healthy: Frames, tmp_path: Path
) -> None:
    folder = put(tmp_path / "set", healthy, lambda raw: holes(raw, 65535))
    frames = open_dataset(folder, MM.replace(invalid=(0,)))
    assert frames.reading.form.invalid == (0,)
    assert "unknown" in kinds(check(frames))


def test_nan_and_negative_depth_is_reported(healthy: Frames, tmp_path: Path) -> None:
    (tmp_path / "rgb").mkdir()
    (tmp_path / "depth").mkdir()
    for sample in healthy.samples:
        Image.fromarray(sample.image).save(tmp_path / f"rgb/{sample.name}.png")
        raw = holes(sample.depth, np.nan)
        raw[:6] = -1
        np.save(tmp_path / f"depth/{sample.name}.npy", raw)
    frames = open_dataset(tmp_path, DatasetSpec(unit="m"))
    assert "NaN or infinity (2" in str(frames.warnings)
    assert "values down to -1 (6%)" in str(frames.warnings)
    assert (frames[0].depth >= 0).all()


@pytest.mark.parametrize(
    ("turn", "how"),
    [
        (lambda d: np.rot90(d, 2), "rotated by 180°"),
        (lambda d: d[:, ::-1], "mirrored"),
        (lambda d: d[::-1], "upside down"),
    ],
)
@pytest.mark.parametrize("hole", [False, True])
def test_turned_labels_are_found_also_with_holes(
    healthy: Frames, turn: Any, how: str, hole: bool
) -> None:
    def change(depth: np.ndarray) -> np.ndarray:
        return turn(np.where(holes(depth, -1) < 0, 0, depth) if hole else depth)

    frames = Frames(dataclasses.replace(s, depth=change(s.depth)) for s in healthy.samples)
    report = check(frames)
    assert kinds(report) == {"orientation"}
    assert f"depth maps are {how}" in str(report)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("turn", "how"),
    [
        (lambda d: d.T, "transposed"),
        (lambda d: np.rot90(d), "rotated by 90° counterclockwise"),
        (lambda d: np.rot90(d, -1), "rotated by 90° clockwise"),
    ],
)
def test_labels_turned_by_a_quarter_are_found_on_square_frames(
    healthy: Frames, turn: Any, how: str
) -> None:
    square = [
        dataclasses.replace(s, image=s.image[:, 16:112].copy(), depth=s.depth[:, 16:112])
        for s in healthy.samples
    ]
    frames = Frames(
        dataclasses.replace(s, depth=np.ascontiguousarray(turn(s.depth))) for s in square
    )
    assert f"depth maps are {how}" in str(check(frames))


def test_photos_that_exif_turns_beside_unturned_depth_are_found(
    healthy: Frames, tmp_path: Path
) -> None:
    folder = put(tmp_path / "set", healthy, lambda raw: np.rot90(raw), exif=6)
    with pytest.raises(DataError, match=r"depth 96x128 turned"):
        open_dataset(folder, MM)
    report = check(open_dataset(folder, MM, verified=False))
    assert kinds(report) == {"orientation"}
    assert "EXIF turns the photo upright" in str(report)


def test_a_set_of_a_few_sparse_maps_is_reported_as_not_judged(healthy: Frames) -> None:
    sparse = (
        dataclasses.replace(
            s, depth=np.where(np.arange(s.depth.size).reshape(s.depth.shape) % 13, 0, s.depth)
        )
        for s in healthy.samples[:3]
    )
    report = check(Frames(sparse))
    assert report.findings == ()
    assert any(sentence.startswith("orientation") for sentence in report.unjudged)
    assert "not judged: orientation" in str(report)
