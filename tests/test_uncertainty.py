"""Uncertainty: one sigma in metres, its formula, its field, its files, its option."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import glpn
from glpn import files
from glpn.errors import DataError, UsageError
from glpn.estimator import DepthEstimator
from glpn.processing.processor import GLPNImageProcessor
from tests.depths import a_depth
from tests.networks import randomise

SIZE = (32, 64)


class LeftIsFar:
    """A stand-in network that says 4 m in the left half of whatever it sees, and 1 m elsewhere."""

    name = "stand-in"
    config = glpn.GLPNConfig()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        depth = np.ones((len(pixels), *pixels.shape[2:]), np.float32)
        depth[:, :, : depth.shape[2] // 2] = 4
        return depth


@pytest.fixture
def estimator() -> DepthEstimator:
    provenance = a_depth().provenance
    return DepthEstimator(LeftIsFar(), GLPNImageProcessor(), provenance)


PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def test_sigma_is_the_standard_deviation_of_two_mirrored_predictions(
    estimator: DepthEstimator,
) -> None:
    depth = estimator(PHOTO, uncertainty="flip")
    # Every pixel is 4 m in one prediction and 1 m in the other.
    assert np.allclose(depth.sigma, np.std([4, 1], ddof=1), rtol=1e-6)
    assert depth.sigma.dtype == np.float32 and not depth.sigma.flags.writeable
    assert np.array_equal(depth.metres, estimator(PHOTO).metres)  # not averaged
    assert estimator(PHOTO).sigma is None


def test_a_mirror_image_of_itself_has_no_flip_disagreement(estimator: DepthEstimator) -> None:
    engine: Any = lambda pixels: pixels.mean(axis=1) + 1  # noqa: E731
    engine.config = LeftIsFar.config
    estimator.engine = engine
    photo = np.concatenate([PHOTO, PHOTO[:, ::-1]], axis=1)
    assert estimator(photo, uncertainty="flip").sigma.max() == pytest.approx(0, abs=1e-6)


def test_many_photos_have_their_sigma_too(estimator: DepthEstimator) -> None:
    assert [d.sigma is not None for d in estimator([PHOTO] * 2, uncertainty="flip")] == [True] * 2


def test_an_unknown_uncertainty_is_refused(estimator: DepthEstimator) -> None:
    with pytest.raises(
        UsageError, match="uncertainty: expected one of flip, droppath; got 'dream'"
    ):
        estimator(PHOTO, uncertainty="dream")


# Drop path


def drop_path_model(folder: Path, **fields: Any) -> Path:
    """A tiny random network that drops half of its last residual branches in training."""
    torch.manual_seed(0)
    sizes = {"depths": (1, 1, 1, 1), "hidden_sizes": (8, 16, 40, 64), "drop_path_rate": 0.5}
    network = glpn.GLPNForDepthEstimation(glpn.GLPNConfig(**{**sizes, **fields}))
    randomise(network)
    network.save_pretrained(folder)
    GLPNImageProcessor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def droppable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drop_path_model(tmp_path_factory.mktemp("model"))


def load(folder: Path, **options: Any) -> DepthEstimator:
    return glpn.load(folder, engine="torch", device="cpu", threads=1, **options)


def test_drop_path_sigma_is_the_deviation_of_eight_passes_with_the_encoder_in_training(
    droppable: Path,
) -> None:
    estimator = load(droppable)
    network = glpn.GLPNForDepthEstimation.from_pretrained(droppable)
    network.eval().glpn.train()  # BatchNorm is in the decoder
    pixels = torch.from_numpy(PHOTO.transpose(2, 0, 1)[None].astype(np.float32) / 255)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        passes = [network(pixels).predicted_depth[0].double() for _ in range(8)]
    depth = estimator(PHOTO, uncertainty="droppath")
    wanted = torch.stack(passes).std(dim=0).numpy()  # n - 1
    assert wanted.mean() > 1e-4 and np.allclose(depth.sigma, wanted, rtol=1e-3, atol=1e-6)
    assert depth.sigma.dtype == np.float32
    assert np.array_equal(depth.metres, estimator(PHOTO).metres)  # no part of it is random


@pytest.mark.slow
def test_drop_path_sigma_is_repeatable_and_leaves_torchs_random_state_alone(
    droppable: Path,
) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first, second = (load(droppable)(PHOTO, uncertainty="droppath").sigma for _ in range(2))
    assert np.array_equal(first, second) and torch.equal(torch.rand(3), wanted)


def test_drop_path_needs_torch_and_something_to_drop(
    estimator: DepthEstimator, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"droppath needs the engine torch; .* with stand-in"):
        estimator(PHOTO, uncertainty="droppath")
    sure = load(drop_path_model(tmp_path, drop_path_rate=0.0))
    with pytest.raises(UsageError, match="nothing to drop: drop_path_rate, hidden_dropout_prob"):
        sure(PHOTO, uncertainty="droppath")


def test_dropout_alone_is_uncertainty_too(tmp_path: Path) -> None:
    folder = drop_path_model(tmp_path, drop_path_rate=0.0, hidden_dropout_prob=0.2)
    assert load(folder)(PHOTO, uncertainty="droppath").sigma.mean() > 1e-4


def test_random_passes_do_not_disturb_predictions_beside_them(droppable: Path) -> None:
    engine: Any = load(droppable).engine
    pixels = np.random.default_rng(0).random((2, 3, 40, 33), dtype=np.float32)
    before = engine(pixels)
    passes = engine.stochastic(pixels, 3, seed=1)
    assert passes.shape == (3, 2, 40, 33) and not np.array_equal(passes[0], passes[1])
    assert np.array_equal(engine(pixels), before)
    assert not np.array_equal(passes, engine.stochastic(pixels, 3, seed=2))


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_an_impossible_sigma_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match="sigma: expected finite metres of at least 0"):
        replace(a_depth(), sigma=np.full((24, 32), value))
    with pytest.raises(DataError, match=r"sigma: expected shape \[24, 32\], got \[24, 31\]"):
        replace(a_depth(), sigma=np.zeros((24, 31)))


def test_npz_brings_sigma_back_and_does_without(tmp_path: Path) -> None:
    depth = a_depth()
    assert np.array_equal(glpn.read_depth(depth.save(tmp_path / "a.npz")).sigma, depth.sigma)
    without = replace(depth, sigma=None).save(tmp_path / "b.npz")
    assert glpn.read_depth(without).sigma is None


def test_an_npz_with_an_impossible_sigma_is_refused_by_name(tmp_path: Path) -> None:
    path = a_depth().save(tmp_path / "a.npz")
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "sigma": -arrays["sigma"]})
    with pytest.raises(DataError, match=r"a\.npz: sigma: expected finite metres"):
        glpn.read_depth(path)


def test_the_second_png_holds_sigma_in_millimetres_and_says_so(tmp_path: Path) -> None:
    depth = a_depth()
    path = depth.save(tmp_path / "a.sigma.png")
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), np.rint(depth.sigma * 1000))
        about = json.loads(picture.info["glpn"])
    assert (about["quantity"], about["unit"], about["scale"]) == ("sigma", "metre", 1000)
    assert about["invalid"] is None  # 0 is a value here
    assert files.read(depth.save(tmp_path / "b.sigma.png", scale=256)).metadata["scale"] == 256


def test_sigma_is_not_mistaken_for_depth(tmp_path: Path) -> None:
    path = a_depth().save(tmp_path / "a.sigma.png")
    with pytest.raises(DataError, match=r"a\.sigma\.png: contains 'sigma', not depth"):
        glpn.read_depth(path)
    with pytest.raises(UsageError, match="predicted without its uncertainty"):
        replace(a_depth(), sigma=None).save(tmp_path / "b.sigma.png")


def test_a_photo_named_sigma_cannot_take_the_uncertaintys_place() -> None:
    assert files.output_stems(["a.jpg", "a.sigma.jpg"]) == ["a", "a_sigma"]
