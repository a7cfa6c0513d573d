"""Protocols: the published rows and columns, ranges, alignments, and a hash that names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glpn.errors import DataError, UsageError
from glpn.evaluation.metrics import pixel_sums
from glpn.evaluation.protocols import (
    CROPS,
    PROTOCOLS,
    Protocol,
    kb_crop,
    prepare_prediction,
    protocol,
    valid_mask,
)


def rows_and_columns(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


@pytest.mark.parametrize(
    ("name", "size", "window"),
    [
        ("nyu", (480, 640), (45, 471, 41, 601)),
        ("kitti", (352, 1216), (143, 349, 43, 1172)),
        ("kitti-eigen", (352, 1216), (117, 321, 43, 1172)),
        ("nyu", (240, 320), (22, 235, 20, 300)),
        ("sunrgbd", (427, 561), (0, 427, 0, 561)),
    ],
)
def test_crops_have_the_published_rows_and_columns(
    name: str, size: tuple[int, int], window: tuple[int, int, int, int]
) -> None:
    mask = valid_mask(PROTOCOLS[name], np.full(size, 2.0, np.float32))
    assert rows_and_columns(mask) == window
    assert mask.sum() == (window[1] - window[0]) * (window[3] - window[2])


@pytest.mark.parametrize(("name", "far"), [("nyu", 10.0), ("kitti", 80.0), ("sunrgbd", 8.0)])
def test_the_valid_range_excludes_both_ends_and_unknowns(name: str, far: float) -> None:
    target = np.full((352, 1216), 1.0)
    target[200, 100:107] = [0.0, 1e-3, 1.1e-3, far, far * 0.999, np.nan, np.inf]
    got = valid_mask(PROTOCOLS[name], target)[200, 100:107]
    assert got.tolist() == [False, False, True, False, True, False, False]


def test_kb_crop_is_the_bottom_352_rows_and_the_middle_1216_columns() -> None:
    rows, columns = np.mgrid[:375, :1242]
    image = np.stack([rows, columns], axis=-1)
    cut = kb_crop(image)
    assert cut.shape == (352, 1216, 2)
    assert cut[0, 0].tolist() == [23, 13] and cut[-1, -1].tolist() == [374, 1228]
    with pytest.raises(DataError, match=r"street_3.*at least 1216x352, got 1242x300"):
        kb_crop(image[:300], name="street_3")


def test_not_finite_predictions_become_the_ends_of_the_range() -> None:
    prediction = np.array([[np.nan, np.inf, -np.inf, -3.0, 0.0, 12.0, 2.0]])
    target = np.ones_like(prediction)
    got = prepare_prediction(PROTOCOLS["nyu"], prediction, target, target > 0)
    assert got.tolist() == [[1e-3, 10, 1e-3, 1e-3, 1e-3, 10, 2]]
    unclamped = PROTOCOLS["nyu"].replace(clamp=False)
    got = prepare_prediction(unclamped, prediction, target, target > 0)
    assert got.tolist() == [[1e-3, 10, 1e-3, -3, 0, 12, 2]]
    assert np.isnan(prediction[0, 0])  # the caller's array is untouched


ALIGNMENTS = [
    ("median", "depth"),
    ("scale", "depth"),
    ("scale+shift", "depth"),
    ("scale", "disparity"),
    ("scale+shift", "disparity"),
]


@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10), kind=st.sampled_from(ALIGNMENTS))
@settings(max_examples=60, deadline=None)
def test_every_alignment_undoes_one_scale_factor(seed: int, scale: float, kind: str) -> None:
    target = np.random.default_rng(seed).uniform(0.5, 9.5, (20, 30))
    rules = Protocol("test", alignment=kind[0], alignment_space=kind[1])
    valid = valid_mask(rules, target)
    aligned = prepare_prediction(rules, target * scale, target, valid)
    m = pixel_sums(aligned, target, valid).metrics()
    assert m.delta1 == 1 and m.abs_rel < 1e-9 and m.rmse < 1e-9


@given(st.integers(0, 10**6), st.floats(0.2, 5), st.floats(-0.4, 0.4))
@settings(max_examples=25, deadline=None)
def test_scale_and_shift_undo_an_affine_change_in_their_own_space(
    seed: int, scale: float, shift: float
) -> None:
    target = np.random.default_rng(seed).uniform(1, 9.5, (20, 30))
    rules = Protocol("test", alignment="scale+shift")
    valid = valid_mask(rules, target)
    moved = prepare_prediction(rules, target * scale + shift + 1, target, valid)
    assert np.allclose(moved, target, atol=1e-9)
    rules = rules.replace(alignment_space="disparity")
    moved = prepare_prediction(rules, 1 / (scale / target + shift + 1), target, valid)
    assert np.allclose(moved, target, atol=1e-8)


@pytest.mark.parametrize("columns", [1, 2])
def test_least_squares_equal_numpys_solver(columns: int) -> None:
    rng = np.random.default_rng(3)
    target = rng.uniform(1, 9, (20, 30))
    prediction = target * rng.uniform(0.5, 1.5, target.shape)
    valid = rng.random(target.shape) < 0.5
    rules = Protocol(
        "test", alignment="scale" if columns == 1 else "scale+shift", max_depth=1e3, clamp=False
    )
    design = np.stack([prediction[valid], np.ones(valid.sum())], axis=1)[:, :columns]
    solution = np.linalg.lstsq(design, target[valid], rcond=None)[0]
    expected = prediction * solution[0] + (solution[1] if columns == 2 else 0)
    assert np.allclose(prepare_prediction(rules, prediction, target, valid), expected, atol=1e-9)


def test_only_valid_pixels_decide_the_alignment() -> None:
    target = np.full((4, 4), 2.0)
    prediction = np.full((4, 4), 1.0)
    valid = np.ones((4, 4), bool)
    valid[0], prediction[0] = False, 100.0
    rules = Protocol("test", alignment="median", max_depth=1e3)
    assert prepare_prediction(rules, prediction, target, valid)[1:].tolist() == target[1:].tolist()


def test_a_constant_prediction_is_shifted_to_the_mean_of_the_target() -> None:
    target = np.array([[1.0, 3.0]])
    rules = Protocol("test", alignment="scale+shift")
    got = prepare_prediction(rules, np.full((1, 2), 5.0), target, target > 0)
    assert got.tolist() == [[2.0, 2.0]]


def test_the_hash_names_the_options_and_not_the_name() -> None:
    nyu = PROTOCOLS["nyu"]
    # Stored once: a change means that old results can no longer be compared with new ones.
    assert nyu.hash() == "af2830122da6398188b01b21e1137786c141eb26b12ca6cdabc75349a2e4080e"
    assert nyu.replace(name="mine").hash() == nyu.hash()
    assert Protocol("nyu", max_depth=10, crop="eigen-nyu").hash() == nyu.hash()
    changed = [
        nyu.replace(**change)
        for change in (
            {"min_depth": 0.01},
            {"max_depth": 8.0},
            {"crop": "none"},
            {"kb_crop": True},
            {"clamp": False},
            {"flip": True},
            {"alignment": "median"},
            {"alignment": "scale"},
            {"alignment": "scale", "alignment_space": "disparity"},
            {"average": "pooled"},
            {"focal_ratio": 1.081},
        )
    ]
    assert len({p.hash() for p in [nyu, *changed]}) == len(changed) + 1


def test_models_of_different_cameras_can_be_compared_by_one_protocol() -> None:
    nyu = PROTOCOLS["nyu"]
    assert nyu.replace(focal_ratio=1.0).hash() == nyu.replace(focal_ratio=1.2).hash()


def test_a_changed_protocol_says_so_in_its_name() -> None:
    assert PROTOCOLS["nyu"].replace(flip=True, clamp=True).name == "nyu flip=True"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crop": "egien"}, "crop: expected one of none, eigen-nyu, garg, eigen-kitti"),
        ({"alignment": "mean"}, "alignment: expected one of none, median"),
        ({"average": "all"}, "average"),
        ({"min_depth": 0.0}, "0 < min_depth < max_depth"),
        ({"max_depth": float("inf")}, "finite"),
        ({"alignment": "median", "alignment_space": "disparity"}, "alignment_space"),
    ],
)
def test_impossible_options_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Protocol("test", **fields)
    with pytest.raises(UsageError, match=message):
        PROTOCOLS["nyu"].replace(**fields)


def test_an_unknown_protocol_or_field_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"expected one of nyu, kitti.*'nyuv2'"):
        protocol("nyuv2")
    with pytest.raises(UsageError, match=r"protocol nyu: .*'cropping'"):
        protocol("nyu").replace(cropping="none")


def test_every_protocol_and_crop_is_consistent() -> None:
    for name, rules in PROTOCOLS.items():
        assert protocol(name) is rules and rules.name == name and rules.crop in CROPS
