"""Uncertainty: one sigma in metres, its formula, its field, its files, its option."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import glpn
from glpn import files
from glpn.errors import DataError, UsageError
from glpn.estimator import DepthEstimator
from glpn.processor import GLPNImageProcessor
from tests.depths import a_depth

SIZE = (32, 64)


class LeftIsFar:
    """A stand-in network that says 4 m in the left half of whatever it sees, and 1 m elsewhere."""

    name = "stand-in"
    config = glpn.GLPNConfig()

    def __call__(self, pixels):
        depth = np.ones((len(pixels), *pixels.shape[2:]), np.float32)
        depth[:, :, : depth.shape[2] // 2] = 4
        return depth


@pytest.fixture
def estimator():
    provenance = a_depth().provenance
    return DepthEstimator(LeftIsFar(), GLPNImageProcessor(), provenance)


PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def test_sigma_is_the_standard_deviation_of_two_mirrored_predictions(estimator):
    depth = estimator(PHOTO, uncertainty="flip")
    # Every pixel is 4 m in one prediction and 1 m in the other.
    assert np.allclose(depth.sigma, np.std([4, 1], ddof=1), rtol=1e-6)
    assert depth.sigma.dtype == np.float32 and not depth.sigma.flags.writeable
    assert np.array_equal(depth.metres, estimator(PHOTO).metres)  # not averaged
    assert estimator(PHOTO).sigma is None


def test_a_mirror_image_of_itself_has_no_flip_disagreement(estimator):
    estimator.engine = lambda pixels: pixels.mean(axis=1) + 1
    estimator.engine.config = LeftIsFar.config
    photo = np.concatenate([PHOTO, PHOTO[:, ::-1]], axis=1)
    assert estimator(photo, uncertainty="flip").sigma.max() == pytest.approx(0, abs=1e-6)


def test_many_photos_have_their_sigma_too(estimator):
    assert [d.sigma is not None for d in estimator([PHOTO] * 2, uncertainty="flip")] == [True] * 2


def test_an_unknown_uncertainty_is_refused(estimator):
    with pytest.raises(UsageError, match="uncertainty: expected 'flip', got 'dream'"):
        estimator(PHOTO, uncertainty="dream")


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_an_impossible_sigma_is_refused(value):
    with pytest.raises(DataError, match="sigma: expected finite metres from 0 on"):
        replace(a_depth(), sigma=np.full((24, 32), value))
    with pytest.raises(DataError, match=r"sigma: expected shape \[24, 32\], got \[24, 31\]"):
        replace(a_depth(), sigma=np.zeros((24, 31)))


def test_npz_brings_sigma_back_and_does_without(tmp_path):
    depth = a_depth()
    assert np.array_equal(glpn.read_depth(depth.save(tmp_path / "a.npz")).sigma, depth.sigma)
    without = replace(depth, sigma=None).save(tmp_path / "b.npz")
    assert glpn.read_depth(without).sigma is None


def test_an_npz_with_an_impossible_sigma_is_refused_by_name(tmp_path):
    path = a_depth().save(tmp_path / "a.npz")
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "sigma": -arrays["sigma"]})
    with pytest.raises(DataError, match=r"a\.npz: sigma: expected finite metres"):
        glpn.read_depth(path)


def test_the_second_png_holds_sigma_in_millimetres_and_says_so(tmp_path):
    depth = a_depth()
    path = depth.save(tmp_path / "a.sigma.png")
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), np.rint(depth.sigma * 1000))
        told = json.loads(picture.info["glpn"])
    assert (told["quantity"], told["unit"], told["scale"]) == ("sigma", "metre", 1000)
    assert told["invalid"] is None  # 0 is a value here
    assert files.read(depth.save(tmp_path / "b.sigma.png", scale=256)).metadata["scale"] == 256


def test_sigma_is_not_mistaken_for_depth(tmp_path):
    path = a_depth().save(tmp_path / "a.sigma.png")
    with pytest.raises(DataError, match=r"a\.sigma\.png: holds 'sigma', no depth"):
        glpn.read_depth(path)
    with pytest.raises(UsageError, match="made without its uncertainty"):
        replace(a_depth(), sigma=None).save(tmp_path / "b.sigma.png")


def test_a_photo_named_sigma_cannot_take_the_uncertaintys_place():
    assert files.output_stems(["a.jpg", "a.sigma.jpg"]) == ["a", "a_sigma"]
