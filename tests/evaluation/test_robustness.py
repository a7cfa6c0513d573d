"""Robustness: losses as defined, and a killed run that ends with the same bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glpn.errors import CannotCreateOutput, DataError, UsageError
from glpn.evaluation.corruptions import CORRUPTIONS, Corruption
from glpn.evaluation.metrics import pixel_sums
from glpn.evaluation.protocols import Protocol
from glpn.evaluation.robustness import CLEAN, Study, robustness

from .frames import make_frame, make_frames, model, oracle

RULES = Protocol("plain")
STUDY = Study(RULES, corruptions=("contrast", "gaussian_noise"), severities=(1, 3, 5), seed=4)


def run(
    frames: Any = None, predict: Callable[..., Any] = model, study: Any = STUDY, **options: Any
) -> Any:
    frames = make_frames(10) if frames is None else frames
    return robustness(frames, predict, study=study, model="abc", **options)


def test_every_cell_is_the_mean_over_corrupted_images() -> None:
    found = run()
    assert list(found.means) == [
        CLEAN,
        *(f"{name} {s}" for name in STUDY.corruptions for s in STUDY.severities),
    ]
    spoil = Corruption("gaussian_noise", 3, seed=4)
    expected = []
    for i, frame in enumerate(make_frames(10)):
        prediction = np.clip(model(spoil(frame.image, i)), 1e-3, 10)
        expected.append(pixel_sums(prediction, frame.depth, frame.depth > 0).metrics().rmse)
    assert found.means["gaussian_noise 3"]["rmse"].value == pytest.approx(np.mean(expected))
    assert found.images == 10 and found.scenes == 5


def test_relative_loss_is_the_mean_over_severities_against_clean() -> None:
    found = run()
    for metric, sign in (("abs_rel", 1), ("delta1", -1)):
        values = [found.means[f"contrast {s}"][metric].value for s in (1, 3, 5)]
        clean = found.means[CLEAN][metric].value
        expected = sign * (sum(values) / 3 - clean) / clean
        assert found.relative_loss(metric)["contrast"] == pytest.approx(expected)
    assert found.relative_loss("abs_rel")["contrast"] > 0  # worse is a loss, for either kind
    assert found.relative_loss("delta1")["contrast"] > 0


def test_a_clean_error_of_zero_has_no_relative_loss() -> None:
    found = run(predict=oracle)
    assert math.isnan(found.relative_loss("rmse")["contrast"])
    assert json.loads(found.to_json())["relative_loss"]["rmse"]["contrast"] is None


def test_the_whole_study_has_75_corrupted_conditions() -> None:
    assert len(Study(RULES).conditions()) == 76
    found = run(make_frames(1), study=Study(RULES))
    assert list(found.relative_loss("rmse")) == list(CORRUPTIONS)
    table = found.to_markdown()
    assert table.count("%") == 17 and "an interval needs 20" in table


@pytest.mark.parametrize("stop", [0, 1, 7, 8, 25, 69])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, stop: int) -> None:
    class Killed(Exception):
        pass

    calls = 0

    def dies(image: np.ndarray) -> np.ndarray:
        nonlocal calls
        calls += 1
        if calls > stop:
            raise Killed
        return model(image)

    kept = tmp_path / "scores.jsonl"
    with pytest.raises(Killed):
        run(predict=dies, partial=kept)
    done = len(kept.read_bytes().splitlines()) - 1
    with kept.open("ab") as file:
        file.write(b'["house0/fra')  # the kill fell into a write
    calls, stop = 0, 1000
    resumed = run(predict=dies, partial=kept)
    assert calls == 70 - done
    assert resumed.to_json() == run().to_json()
    assert resumed.to_markdown() == run().to_markdown()
    calls = 0
    assert run(predict=dies, partial=kept).to_json() == resumed.to_json()
    assert calls == 0  # a finished run is only read


def test_scores_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    kept = tmp_path / "scores.jsonl"
    run(partial=kept)
    with pytest.raises(
        DataError, match=r"scores\.jsonl: contains the scores of another run \(study"
    ):
        run(partial=kept, study=Study(RULES, corruptions=("fog",)))
    with pytest.raises(DataError, match=r"another run \(model differ\)"):
        robustness(make_frames(10), model, study=STUDY, model="other", partial=kept)
    with pytest.raises(
        DataError, match=r"house0/frame00000.*where the set has.*house18/frame00036"
    ):
        run([make_frame(36)], partial=kept)
    with pytest.raises(DataError, match="kept scores of 10 frames, the set has 3"):
        run(make_frames(3), partial=kept)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    kept = tmp_path / "scores.jsonl"
    run(partial=kept)
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join([*lines[:5], b"{damaged\n", *lines[6:]]))
    with pytest.raises(DataError, match=r"scores\.jsonl: line 6 is damaged"):
        run(partial=kept)
    kept.write_bytes(b"".join([*lines[:5], b"[1, 2]\n", *lines[6:]]))
    with pytest.raises(DataError, match=r"scores\.jsonl: line 6 is no score"):
        run(partial=kept)


def test_a_partial_file_that_cannot_be_made_is_an_error_before_any_prediction(
    tmp_path: Path,
) -> None:
    def never(image: np.ndarray) -> np.ndarray:
        raise AssertionError

    with pytest.raises(CannotCreateOutput, match="cannot be opened"):
        run(predict=never, partial=tmp_path / "missing" / "scores.jsonl")


@pytest.mark.parametrize(
    "options",
    [
        {"corruptions": ("rain",)},
        {"severities": (6,)},
        {"corruptions": ()},
        {"protocol": RULES.replace(average="pooled")},
    ],
)
def test_an_impossible_study_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Study(**{"protocol": RULES, **options})
