"""Distillation and mixes: a student learns from a teacher, and each dataset has its own loss."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
from glpn.data.augment import AugmentConfig
from glpn.data.sample import Sample
from glpn.errors import ConfigError, MissingInput
from glpn.training import train
from glpn.training.batches import Share, consecutive
from glpn.training.data import JoinedFrames, KeptFrames, PhotoFrames
from glpn.training.losses import (
    FeatureProjections,
    Teacher,
    batch_sums,
    edge_sums,
    fill_unknown,
    invariant_sums,
    loss_from_sums,
)
from glpn.training.options import MixOptions, TeacherOptions
from glpn.training.reading import Reader
from glpn.training.recipe import Recipe
from tests.training import child
from tests.training.runs import log_of, tiny_recipe, traces, write_frames
from tests.training.test_resume import has_begun, wait_for


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Frames with depth, photos without, and a teacher that learned the frames."""
    root = tmp_path_factory.mktemp("distillation")
    frames = write_frames(root / "frames", 8)
    shutil.copytree(frames / "rgb", root / "photos")
    calm = ("schedule.kind=constant", "schedule.rate=5e-3", "loop.steps=30", "loop.ema=0")
    train(tiny_recipe(frames, root / "teacher", *calm, "loop.validate_every=30"))
    return {"frames": frames, "photos": root / "photos", "teacher": root / "teacher/last"}


def distilling(folders: dict[str, Path], run: Path, *changes: str) -> Recipe:
    """Photos without depth only; everything that the student learns comes from the teacher."""
    values = tiny_recipe(folders["frames"], run).to_dict()
    photos = {"folder": str(folders["photos"]), "count": 4, "labels": False, "aspect": [1.0, 1.2]}
    values["data"] = {"mix": {"photos": photos}}
    values["teacher"] = {"model": str(folders["teacher"]), "features": 0.5}
    return Recipe.from_dict(values).override(changes)


@pytest.mark.slow
def test_a_student_of_random_weights_learns_the_teachers_depth_and_features(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    changes = (
        "loop.steps=30",
        "schedule.kind=constant",
        "schedule.rate=5e-3",
        "augment.cutdepth=none",
        "augment.hsv_probability=0",
        "model.config.drop_path_rate=0",
        "model.config.hidden_dropout_prob=0",
    )
    train(distilling(folders, tmp_path, *changes))
    lines = log_of(tmp_path)
    for key in ("loss", "features"):
        first, last = (np.mean([line[key] for line in part]) for part in (lines[:5], lines[-5:]))
        assert last < 0.85 * first
    assert lines[-1]["empty"] == 0  # the teacher gave every photo its depth


@pytest.mark.slow
def test_a_killed_distillation_resumes_with_the_same_bits(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    frames = folders["frames"]
    steps = ("loop.steps=12", f"data.val={frames}", "loop.validate_every=6")
    train(distilling(folders, tmp_path / "alone", *steps))
    photos = f"folder='{folders['photos']}', count=4, labels=false, aspect=[1.0, 1.2]"
    process = child.start(
        frames,
        tmp_path / "killed",
        *steps,
        "data.train=none",
        "data.val_share=0",
        f"data.mix={{photos = {{{photos}}}}}",
        f"teacher.model={folders['teacher']}",
        "teacher.features=0.5",
    )
    wait_for(has_begun(tmp_path / "killed"), process)
    process.kill()
    child.finished(process)
    train(distilling(folders, tmp_path / "killed", *steps), resume=True)
    assert traces(tmp_path / "killed") == traces(tmp_path / "alone")


@pytest.mark.slow
def test_a_mix_of_real_and_unlabelled_frames_trains_in_one_part_or_two(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    for parts in (1, 2):
        values = distilling(folders, tmp_path / str(parts)).to_dict()
        values["data"]["mix"] = {
            "real": {"folder": str(folders["frames"]), "count": 2, "edges": 0.5},
            "photos": {
                "folder": str(folders["photos"]),
                "count": 2,
                "labels": False,
                "loss": "scale-shift",
            },
        }
        values["loop"] |= {"accumulate": parts, "steps": 2}
        train(Recipe.from_dict(values))
        assert all(math.isfinite(line["loss"]) for line in log_of(tmp_path / str(parts)))
    names = (tmp_path / "1/trained_on.txt").read_text().splitlines()
    assert names[:2] == ["000", "001"]
    assert names[-1] == str(folders["photos"] / "007.png")


@pytest.mark.slow
def test_a_teacher_with_a_larger_range_than_the_student_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    recipe = distilling(folders, tmp_path, "model.config.max_depth=5")
    with pytest.raises(ConfigError, match=r"is 10 m.*only 5 m; increase model\.config\.max_depth"):
        train(recipe)


def test_the_teacher_gets_windows_at_its_own_scale_and_returns_the_students_metres(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    config = GLPNConfig(hidden_sizes=(8, 16, 40, 64), depths=(1, 1, 1, 1), decoder_hidden_size=16)
    network = GLPNForDepthEstimation(config).eval()
    network.save_pretrained(tmp_path)
    GLPNImageProcessor(short_side=32, focal_ratio=1.0).save_pretrained(tmp_path)
    options = TeacherOptions(model=str(tmp_path), max_share=1)
    pixels = torch.rand((2, 3, 64, 128), generator=torch.Generator().manual_seed(1))
    student = GLPNImageProcessor(short_side=64, focal_ratio=1.5)
    taught = Teacher(options, student, torch.device("cpu"))(pixels)
    with torch.no_grad():
        half = F.interpolate(pixels, (32, 64), mode="bilinear", antialias=True)
        depth = network(half).predicted_depth
    expected = 1.5 * F.interpolate(depth[:, None], (64, 128), mode="bilinear")[:, 0]
    torch.testing.assert_close(taught.depth, expected)
    assert [tuple(maps.shape[-2:]) for maps in taught.maps] == [(8, 16), (4, 8), (2, 4), (1, 2)]
    with pytest.raises(ConfigError, match=r"data\.short_side"):
        Teacher(options, GLPNImageProcessor(), torch.device("cpu"))


# --- losses, by hand ----------------------------------------------------------------------------


def test_each_dataset_counts_by_its_share_and_its_weight() -> None:
    # SiLog of a constant factor k is |log k| sqrt(1 - 0.5)
    prediction = torch.full((4, 8, 8), 2.0)
    target = torch.cat((torch.full((1, 8, 8), 4.0), torch.full((3, 8, 8), 16.0)))
    datasets = [MixOptions("a", count=1), MixOptions("b", count=3, weight=0.5)]
    sums = batch_sums(prediction, target, (0, 1, 1, 1), datasets)
    expected = math.sqrt(0.5) * (0.25 * math.log(2) + 0.75 * 0.5 * math.log(8))
    assert float(loss_from_sums(sums, datasets)) == pytest.approx(expected, rel=1e-6)
    halves = [
        batch_sums(prediction[part], target[part], sources, datasets)
        for part, sources in ((slice(0, 2), (0, 1)), (slice(2, 4), (1, 1)))
    ]
    torch.testing.assert_close(halves[0] + halves[1], sums)  # processes add theirs


def test_the_edge_loss_is_the_slope_of_the_log_error() -> None:
    target = torch.ones(1, 16, 16)
    prediction = torch.exp(0.1 * torch.arange(16.0)).expand(1, 16, 16)  # 0.1 per column
    slopes, pairs = edge_sums(prediction, target).view(2, 4)
    # down there is none; across 0.1 x stride, over twice as many pairs in the mean of both
    torch.testing.assert_close(slopes / pairs, 0.1 * torch.tensor([1.0, 2, 4, 8]))
    far = edge_sums(prediction, torch.where(torch.arange(16) == 7, 0.0, target))
    assert far[4] < pairs[0]  # unknown pixels do not count


def test_the_invariant_loss_ignores_the_scale_and_the_shift_of_inverse_depth() -> None:
    generator = torch.Generator().manual_seed(0)
    disparity = torch.rand((2, 8, 8), generator=generator) + 0.5
    error, frames = invariant_sums(1 / (3 * disparity + 0.2), 1 / disparity)
    assert float(error) == pytest.approx(0, abs=1e-5)
    assert int(frames) == 2
    error, frames = invariant_sums(disparity, torch.zeros_like(disparity))
    assert (float(error), int(frames)) == (0, 0)
    assert float(invariant_sums(disparity, 1 / disparity)[0]) > 0.5


def test_the_teacher_fills_only_frames_without_any_depth() -> None:
    target = torch.tensor([[[0.0, 2.0]], [[0.0, 0.0]]])
    filled = fill_unknown(target, torch.full((2, 1, 2), 5.0))
    assert filled.tolist() == [[[0.0, 2.0]], [[5.0, 5.0]]]


def test_features_that_point_the_same_way_have_no_distance() -> None:
    projections = FeatureProjections((2,), (2,))
    with torch.no_grad():
        for name, value in projections.named_parameters():
            value.copy_(2 * torch.eye(2)[:, :, None, None] if "weight" in name else torch.zeros(2))
    maps = torch.randn((1, 2, 3, 3), generator=torch.Generator().manual_seed(0))
    projections.requires_grad_(False)
    assert float(projections([maps], [maps])) == pytest.approx(0, abs=1e-6)
    assert float(projections([maps], [-maps])) == pytest.approx(2, abs=1e-6)


# --- frames -------------------------------------------------------------------------------------


def test_every_part_of_a_mixed_batch_holds_frames_of_every_dataset() -> None:
    share = Share(consecutive([(10, 4), (6, 2)], seed=0), accumulate=2)
    for step in range(4):
        for part in share.parts(step):
            assert [share.source(index) for _, index in part] == [0, 0, 1]
    seen = [index for step in range(3) for part in share.parts(step) for _, index in part]
    assert sorted(i for i in seen if i >= 10) == [10, 11, 12, 13, 14, 15]


@pytest.mark.slow
def test_joined_frames_are_numbered_one_after_another(folders: dict[str, Path]) -> None:
    photos = PhotoFrames.of(str(folders["photos"]), limit=3)
    (folders["photos"] / "._0.png").touch()  # hidden files are no photos
    assert PhotoFrames.of(str(folders["photos"]), limit=3) == photos
    joined = JoinedFrames((photos, photos))
    assert len(joined) == 6
    assert joined[4].name == photos[1].name == joined.names[4]
    assert not joined[4].depth.any()
    with pytest.raises(MissingInput, match="no photo"):
        PhotoFrames.of(str(folders["teacher"]), limit=None)


def test_the_teacher_sees_the_window_without_cutdepth_and_colour_changes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    sample = Sample("a", image, np.full((32, 48), 2.0, np.float32))
    augment = AugmentConfig(cutdepth_probability=1, hsv_probability=1, crop=(16, 16))
    reader = Reader(KeptFrames((sample,)), augment, seed=0, clean=True)
    plain = AugmentConfig(
        cutdepth="none", light_probability=0, gamma_probability=0, hsv_probability=0, crop=(16, 16)
    )
    seen = reader(0, 0)
    assert seen.clean is not None
    assert not np.array_equal(seen.image, seen.clean)
    expected = Reader(KeptFrames((sample,)), plain, seed=0)(0, 0).image
    np.testing.assert_array_equal(seen.clean, expected)


def test_photos_are_widened_within_the_range_of_their_dataset() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    frames = KeptFrames((Sample("a", image, np.zeros((32, 32), np.float32)),) * 2)
    augment = AugmentConfig(cutdepth="none", crop=None)
    aspects = ((0, (1.0, 1.0)), (1, (1.25, 1.5)))
    reader = Reader(frames, augment, seed=0, aspects=aspects)
    assert reader(0, 0).image.shape == (32, 32, 3)
    widths = {reader(epoch, 1).image.shape[1] for epoch in range(8)}
    assert len(widths) > 1
    assert min(widths) >= 40
    assert max(widths) <= 48


@pytest.mark.slow
def test_the_exported_student_is_a_plain_model(folders: dict[str, Path], tmp_path: Path) -> None:
    train(distilling(folders, tmp_path, "loop.steps=1"))
    model = GLPNForDepthEstimation.from_pretrained(tmp_path / "last")
    assert isinstance(model.config, GLPNConfig)
    assert not any("projections" in name for name in model.state_dict())
