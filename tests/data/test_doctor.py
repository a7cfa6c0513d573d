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
from glpn.data.doctor import check, report_sheet
from glpn.data.frame_stats import border_of
from glpn.errors import MissingInput
from tests.data.rooms import Frames, room, rooms

NYU795 = DatasetSpec(scale=25.5, offset=0.5, invalid=())


@pytest.fixture(scope="module")
def healthy() -> Frames:
    return rooms(16)


def with_depth(frames: Frames, change: Callable[..., Any], only: Any = None) -> Frames:
    """The frames with `change(depth)` done to all of them, or to some positions."""
    return Frames(
        dataclasses.replace(s, depth=change(s.depth).astype(np.float32))
        if only is None or i in only
        else s
        for i, s in enumerate(frames.samples)
    )


def kinds(report: Any) -> set[str]:
    return {finding.kind for finding in report.findings}


def test_healthy_frames_get_no_finding_and_exit_code_0(healthy: Frames) -> None:
    report = check(healthy)
    assert report.findings == ()
    assert report.exit_code == 0
    assert str(report) == "16 frames checked: 0 errors, 0 warnings"


def test_millimetres_read_as_metres_are_an_error_that_names_the_factor(healthy: Frames) -> None:
    report = check(with_depth(healthy, lambda d: d * 1000))
    assert kinds(report) == {"unit"}
    assert report.exit_code == 65
    assert "divided by 1000" in str(report)


def test_metres_read_as_millimetres_are_an_error(healthy: Frames) -> None:
    assert kinds(check(with_depth(healthy, lambda d: d / 1000))) == {"unit"}


def test_one_frame_in_another_unit_is_named(healthy: Frames) -> None:
    report = check(with_depth(healthy, lambda d: d * 1000, only={5}))
    assert report.frames == {"room005": ("unit",)}


@pytest.mark.parametrize("disparity", [lambda d: 1 / d, lambda d: 255 * (1 / d) / (1 / d).max()])
def test_disparity_taken_for_depth_is_found(healthy: Frames, disparity: Any) -> None:
    assert "disparity" in kinds(check(with_depth(healthy, disparity)))


@pytest.mark.parametrize(("down", "across"), [(0, 6), (-5, 0), (4, -4)])
def test_shifted_depth_is_found_with_its_direction(healthy: Frames, down: int, across: int) -> None:
    # the depth moves by (down, across): image edges then lie the other way from depth edges
    report = check(with_depth(healthy, lambda d: np.roll(d, (down, across), (0, 1))))
    assert kinds(report) == {"misaligned"}
    message = report.findings[0].message
    assert f"{-across / 160 * 100:+.1f} % right" in message or abs(across) == 0
    assert f"{-down / 160 * 100:+.1f} % down" in message or abs(down) == 0


def test_mirrored_depth_is_found(healthy: Frames) -> None:
    report = check(with_depth(healthy, lambda d: d[:, ::-1]))
    assert kinds(report) == {"orientation"}
    assert "mirrored" in str(report)


def test_two_frames_that_exchanged_depths_are_named(healthy: Frames) -> None:
    samples = list(healthy.samples)
    a, b = samples[3], samples[9]
    samples[3] = dataclasses.replace(a, depth=b.depth)
    samples[9] = dataclasses.replace(b, depth=a.depth)
    report = check(Frames(samples))
    assert report.frames == {"room003": ("swapped",), "room009": ("swapped",)}


def test_picture_of_the_depth_instead_of_a_photograph_is_found(healthy: Frames) -> None:
    samples = list(healthy.samples)
    grey = np.rint(255 * samples[2].depth / samples[2].depth.max()).astype(np.uint8)
    samples[2] = dataclasses.replace(samples[2], image=np.repeat(grey[..., None], 3, -1))
    assert "picture-of-depth" in check(Frames(samples)).frames["room002"]


def test_a_map_without_any_known_depth_is_counted_and_named_but_no_error(healthy: Frames) -> None:
    report = check(with_depth(healthy, np.zeros_like, only={0, 7}))
    assert report.frames == {"room000": ("empty",), "room007": ("empty",)}
    assert report.exit_code == 0


def test_a_set_of_empty_maps_is_an_error(healthy: Frames) -> None:
    report = check(with_depth(healthy, np.zeros_like))
    assert kinds(report) == {"empty"}
    assert report.exit_code == 65


def test_nan_and_inf_count_as_unknown(healthy: Frames) -> None:
    assert kinds(check(with_depth(healthy, lambda d: d * np.nan, only={1}))) == {"empty"}
    assert kinds(check(with_depth(healthy, lambda d: d + np.inf, only={1}))) == {"empty"}


def test_constant_map_is_found(healthy: Frames) -> None:
    assert check(with_depth(healthy, lambda d: d * 0 + 2, only={4})).frames["room004"] == (
        "constant",
    )


def test_size_mismatch_is_found(healthy: Frames) -> None:
    report = check(with_depth(healthy, lambda d: d[:-2], only={4}))
    assert report.frames == {"room004": ("size",)}
    assert report.exit_code == 65


def test_near_duplicates_are_a_warning_with_their_count(healthy: Frames) -> None:
    samples = list(healthy.samples)
    brighter = (samples[1].image.astype(int) + 10).clip(0, 255).astype(np.uint8)
    samples.append(dataclasses.replace(samples[1], name="again", image=brighter))
    report = check(Frames(samples))
    assert report.frames == {"again": ("duplicate",)}
    assert report.exit_code == 0
    assert "1 near-duplicate (again shows the same as room001)" in str(report)


def test_frames_shared_with_the_held_out_set_are_a_warning_with_their_count(
    healthy: Frames,
) -> None:
    held_out = Frames([room(900), *healthy.samples[3:5], room(901)])
    report = check(healthy, held_out)
    assert kinds(report) == {"overlap"}
    assert "2 near-duplicates" in str(report)


@pytest.mark.parametrize("colour", [255, 0])
def test_border_with_depth_in_it_is_a_warning_that_says_what_to_mask(
    healthy: Frames, colour: int
) -> None:
    samples = []
    for sample in healthy.samples:
        image = np.full_like(sample.image, colour)
        image[5:-4, 6:-7] = sample.image[5:-4, 6:-7]
        samples.append(dataclasses.replace(sample, image=image))
    report = check(Frames(samples))
    assert kinds(report) == {"border"}
    assert "border = [7, 6, 8, 9]" in str(report)
    assert report.exit_code == 0


def test_masked_border_is_no_finding(healthy: Frames) -> None:
    samples = []
    for sample in healthy.samples:
        image, depth = np.full_like(sample.image, 255), np.zeros_like(sample.depth)
        inner = np.s_[8:-8, 8:-8]
        image[inner], depth[inner] = sample.image[inner], sample.depth[inner]
        samples.append(dataclasses.replace(sample, image=image, depth=depth))
    assert check(Frames(samples)).findings == ()


def test_an_all_white_picture_or_one_bright_side_is_no_border() -> None:
    white = np.full((60, 80, 3), 255, np.uint8)
    assert border_of(white) == (0, 0, 0, 0)
    window = np.full((60, 80, 3), 90, np.uint8)
    window[:, :10] = 255
    assert border_of(window) == (0, 0, 0, 0)


def test_unreadable_files_are_findings_and_the_other_frames_are_checked(
    healthy: Frames, tmp_path: Path
) -> None:
    for folder in ("rgb", "depth"):
        (tmp_path / folder).mkdir()
    for sample in healthy.samples:
        Image.fromarray(sample.image).save(tmp_path / f"rgb/{sample.name}.png")
        np.save(tmp_path / f"depth/{sample.name}.npy", sample.depth)
    spec = DatasetSpec(unit="m")
    (tmp_path / "rgb/room003.png").write_bytes(b"broken")
    np.save(tmp_path / "depth/room005.npy", healthy.samples[5].depth[:-1])
    frames = open_dataset(tmp_path, spec, verified=False)
    report = check(frames)
    assert report.frames == {"room003": ("unreadable",), "room005": ("size",)}
    assert report.checked == 16
    sheet = report_sheet(frames, report)
    assert sheet.dtype == np.uint8
    assert sheet.shape[2] == 3


def test_empty_set_is_refused() -> None:
    with pytest.raises(MissingInput, match="no frame"):
        check(Frames([]))


def test_limit_spreads_over_the_set_and_progress_counts(healthy: Frames) -> None:
    seen: list[int] = []
    assert check(healthy, limit=4, progress=seen.append).checked == 4
    assert seen == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spec", "wanted"),
    [
        ("hololens_office", DatasetSpec(unit="mm", intrinsics="K.txt"), set()),
        ("replica_apartment", DatasetSpec(unit="mm"), set()),
        ("slambook2_tum", DatasetSpec(scale=5000), set()),
        # One car stood still: two of its frames are twins indeed.
        ("dgp_driving", DatasetSpec(scale=256, intrinsics="intrinsics.json"), {"duplicate"}),
        ("nyu795", NYU795, {"border"}),  # the known white border
    ],
)
def test_real_sets_have_no_other_findings_than_true_ones(
    real_data: Path, name: str, spec: Any, wanted: Any
) -> None:
    report = check(open_dataset(real_data / name, spec, verified=False), limit=60)
    assert kinds(report) == wanted
    assert report.exit_code == 0


@pytest.mark.slow
def test_nyu_parts_share_no_frame_and_are_clean_once_the_border_is_masked(real_data: Path) -> None:
    folder = real_data / "nyu795"
    spec = NYU795.replace(border=(7, 6, 7, 8))
    train, val = (
        open_dataset(folder, spec, split=split, verified=False) for split in ("train", "val")
    )
    assert (len(train), len(val)) == (695, 100)
    assert check(train, val, limit=40).findings == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nyu795", "replica_apartment", "dgp_driving", "slambook2_tum"])
def test_inverse_depth_of_real_sets_is_recognised_as_disparity(real_data: Path, name: str) -> None:
    scale = {"nyu795": 25.5, "dgp_driving": 256, "slambook2_tum": 5000}.get(name, 1000)
    spec = DatasetSpec(scale=scale, offset=0.5 if name == "nyu795" else 0)
    frames = open_dataset(real_data / name, spec, verified=False)
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, min(len(frames), 12)).astype(int)]
    inverse = with_depth(
        Frames(chosen), lambda d: np.divide(1, d, out=np.zeros_like(d), where=d > 0)
    )
    assert "disparity" in kinds(check(inverse))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nyu795", "replica_apartment"])
def test_shifted_depth_of_real_sets_is_found(real_data: Path, name: str) -> None:
    spec = NYU795.replace(border=(7, 6, 7, 8)) if name == "nyu795" else DatasetSpec(unit="mm")
    frames = open_dataset(real_data / name, spec, verified=False)
    chosen = Frames(frames[i] for i in range(0, 75, 5))
    shift = round(0.025 * chosen[0].depth.shape[1])
    assert "misaligned" in kinds(check(with_depth(chosen, lambda d: np.roll(d, shift, 1))))
