"""evaluate: the scores of every frame, in order, the same bytes each time, in flat memory."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from glpn.errors import DataError
from glpn.evaluation.comparison import compare
from glpn.evaluation.metrics import METRIC_NAMES, pixel_sums
from glpn.evaluation.protocols import PROTOCOLS, Protocol
from glpn.evaluation.result import Result
from glpn.evaluation.runner import evaluate

from .frames import make_frame, make_frames, model, oracle

PLAIN = Protocol("plain", max_depth=10.0)


def run(frames: Any = None, predict: Callable[..., Any] = model, **options: Any) -> Any:
    frames = make_frames(40) if frames is None else frames
    return evaluate(frames, predict, model="abc123", **{"protocol": PLAIN, **options})


def test_rows_hold_each_frames_own_metrics_in_order() -> None:
    result = run()
    assert [row.name for row in result.rows] == [f.name for f in make_frames(40)]
    frame = make_frame(7)
    valid = frame.depth > 0
    assert result.rows[7].metrics == pixel_sums(model(frame.image), frame.depth, valid).metrics()
    assert result.rows[7].pixels == valid.sum() and result.rows[7].scene == "house3"


def test_means_are_of_images_not_pixels_and_lie_in_their_intervals() -> None:
    result = run()
    for i, name in enumerate(METRIC_NAMES):
        mean = math.fsum(row.metrics[i] for row in result.rows) / 40
        assert result.means[name].value == pytest.approx(mean, rel=1e-12)
        assert result.means[name].low <= mean <= result.means[name].high
    assert result.scenes == 20
    assert all(i.high <= 1 for name, i in result.means.items() if name.startswith("delta"))


def test_pooled_means_are_of_pixels() -> None:
    result = run(protocol=PLAIN.replace(average="pooled"))
    frames = list(make_frames(40))
    depth = np.concatenate([f.depth.ravel() for f in frames])
    prediction = np.concatenate([model(f.image).ravel() for f in frames])
    expected = pixel_sums(prediction, depth, depth > 0).metrics()
    assert [i.value for i in result.means.values()] == pytest.approx(list(expected), rel=1e-12)


def test_a_perfect_model_scores_perfectly() -> None:
    means = run(predict=oracle).means
    assert [i.value for i in means.values()] == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_flip_averaging_is_off_unless_asked_for() -> None:
    ramp = np.linspace(1.5, 1.0, 64)

    def leaning(image: np.ndarray) -> np.ndarray:  # too far on the left, whatever it sees
        return oracle(image) * ramp

    calls = []

    def counted(image: np.ndarray) -> np.ndarray:
        calls.append(image.flags.c_contiguous)
        return leaning(image)

    assert run(make_frames(1), counted).rows[0].metrics.silog_kitti > 1
    assert len(calls) == 1
    averaged = run(make_frames(1), counted, protocol=PLAIN.replace(flip=True))
    assert calls == [True] * 3
    frame = make_frame(0)
    by_hand = oracle(frame.image) * (ramp + ramp[::-1]) / 2
    expected = pixel_sums(by_hand, frame.depth, frame.depth > 0).metrics()
    assert averaged.rows[0].metrics == pytest.approx(expected, rel=1e-6)


def test_kitti_frames_are_cut_before_the_model_sees_them() -> None:
    frame = make_frame(0, (375, 1242))
    seen = []

    def predict(image: np.ndarray) -> np.ndarray:
        seen.append(image.shape)
        assert np.array_equal(image, frame.image[23:, 13:1229])
        return oracle(image)

    result = run([frame], predict, protocol=PROTOCOLS["kitti"])
    assert seen == [(352, 1216, 3)]
    inside = frame.depth[23:, 13:1229][143:349, 43:1172]
    assert result.rows[0].pixels == (inside > 0).sum()


def test_the_same_run_twice_gives_the_same_bytes() -> None:
    first, second = run(), run()
    assert first.to_json() == second.to_json()
    assert first.to_csv() == second.to_csv()
    assert first.to_markdown() == second.to_markdown()


def test_json_comes_back_as_it_was_and_names_every_setting() -> None:
    result = run(protocol=PLAIN.replace(alignment="median", max_depth=9.5))
    values = json.loads(result.to_json())
    assert values["protocol"]["hash"] == result.protocol.hash()
    assert values["protocol"]["alignment"] == "median" and values["protocol"]["flip"] is False
    assert values["model"] == "abc123" and values["images"] == 40 and values["scenes"] == 20
    back = Result.from_json(result.to_json())
    assert back == result and back.to_json() == result.to_json()


def test_too_few_scenes_are_null_in_json_and_words_in_markdown() -> None:
    result = run(make_frames(8))
    assert json.loads(result.to_json())["means"]["rmse"]["low"] is None
    assert "; an interval needs 20" in result.to_markdown()
    assert math.isnan(Result.from_json(result.to_json()).means["rmse"].low)


def test_unknown_scenes_are_not_counted_as_scenes() -> None:
    frames = [dataclasses.replace(frame, scene=None) for frame in make_frames(3)]
    assert "Images: 3 images, scenes unknown; an" in run(frames).to_markdown()
    assert json.loads(run(frames).to_json())["scenes"] is None
    assert "Images: 4 images in 2 scenes" in run(make_frames(4)).to_markdown()


def test_a_unit_that_seems_wrong_is_a_warning_in_every_output() -> None:
    result = run(make_frames(8), predict=lambda image: model(image) / 5)
    [warning] = result.warnings
    assert "times the prediction on every frame" in warning
    assert f"Warning: {warning}" in result.to_markdown()
    assert Result.from_json(result.to_json()).warnings == result.warnings
    assert run(make_frames(8)).warnings == ()


def test_a_comparison_calls_its_results_a_and_b() -> None:
    text = compare(run(), run()).to_markdown()
    assert "A: abc123" in text and "B: abc123" in text and "Model:" not in text
    doubtful = dataclasses.replace(run(), warnings=("the unit seems wrong",))
    assert compare(doubtful, run()).to_markdown().count("Warning: the unit seems wrong") == 1


def test_protocols_that_differ_are_named_by_their_options() -> None:
    other = run(protocol=PLAIN.replace(max_depth=8.0))
    with pytest.raises(DataError) as caught:
        compare(run(), other)
    assert "max_depth 10.0 and 8.0" in str(caught.value) and "{" not in str(caught.value)


def test_csv_has_a_line_per_image_in_full_precision() -> None:
    result = run()
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert len(rows) == 40 and rows[3]["name"] == "house1/frame00003"
    assert float(rows[3]["silog_train"]) == result.rows[3].metrics.silog_train


def test_markdown_states_value_interval_protocol_and_model() -> None:
    text = run().to_markdown()
    assert "| abs_rel ↓ | 0." in text and "| rmse [m] ↓ |" in text and "| delta1 ↑ |" in text
    assert PLAIN.hash() in text and "abc123" in text and "flip no" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(format="other"), "expected format"),
        (lambda v: v["protocol"].update(max_depth=8.0), "does not fit"),
        (lambda v: v["protocol"].pop("crop"), "does not fit|not a result"),
        (lambda v: v["rows"][0].pop("rmse"), "not a result"),
        (lambda v: v["protocol"].update(crop="mine"), "crop: expected one of"),
    ],
)
def test_a_damaged_result_file_is_refused_by_name(change: Any, message: str) -> None:
    values = json.loads(run(make_frames(2)).to_json())
    values["protocol"]["crop"] = "none"
    change(values)
    if "crop" not in values["protocol"]:
        values["protocol"]["hash"] = "0"
    with pytest.raises(DataError, match=rf"a\.json: .*({message})"):
        Result.from_json(json.dumps(values), name="a.json")
    with pytest.raises(DataError, match=r"a\.json: not a result"):
        Result.from_json("{", name="a.json")


def test_comparing_finds_the_better_model_and_pairs_by_name() -> None:
    worse = run()
    better = run(predict=lambda image: (model(image) + 3 * oracle(image)) / 4)
    shuffled = dataclasses.replace(better, rows=better.rows[::-1])
    difference = compare(worse, shuffled).differences["abs_rel"]
    expected = np.mean(
        [b.metrics.abs_rel - a.metrics.abs_rel for a, b in zip(worse.rows, better.rows)]  # noqa: B905
    )
    assert difference.value == pytest.approx(expected)
    assert difference.high < 0 and difference.p_value < 0.01
    assert "| abs_rel ↓ |" in compare(worse, better).to_markdown()


def read_as(scale: float) -> Result:
    reading = {"form": {"scale": scale, "invalid": (0.0,)}, "border": (0, 0, 0, 0)}
    return dataclasses.replace(run(), settings={"reading": reading})


def test_results_of_other_images_or_rules_are_not_compared() -> None:
    with pytest.raises(DataError, match=r"not of the same images: house19/frame00039"):
        compare(run(), run(make_frames(39)))
    with pytest.raises(DataError, match="protocols differ"):
        compare(run(), run(protocol=PLAIN.replace(flip=True)))
    assert compare(read_as(scale=1000), read_as(scale=1000.0)).differences
    with pytest.raises(DataError, match=r"read the true depth differently: scale 1000 and 256"):
        compare(read_as(scale=1000), read_as(scale=256))
    row, *rest = run().rows
    masked = dataclasses.replace(run(), rows=(row._replace(pixels=7), *rest))
    with pytest.raises(DataError, match=r"valid pixels .* differ in 1 image: .* and 7"):
        compare(run(), masked)
    pooled = run(protocol=PLAIN.replace(average="pooled"))
    with pytest.raises(DataError, match=r"no paired test.*without --pooled"):
        compare(pooled, pooled)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": np.zeros((48, 64), np.float32)}, "house1/frame00002: no valid pixel"),
        ({"depth": np.ones((48, 63), np.float32)}, "house1/frame00002: depth must have the image"),
    ],
)
def test_an_unusable_frame_stops_the_run_by_name(change: dict[str, Any], message: str) -> None:
    frames = list(make_frames(5))
    frames[2] = dataclasses.replace(frames[2], **change)
    with pytest.raises(DataError, match=message):
        run(frames)


def test_unusable_predictions_and_sets_are_refused() -> None:
    with pytest.raises(DataError, match=r"house0/frame00000: prediction must have .*\(24, 32\)"):
        run(predict=lambda image: oracle(image)[::2, ::2])
    with pytest.raises(DataError, match="no frame"):
        run([])
    with pytest.raises(DataError, match="two frames have the same name"):
        run([make_frame(0), make_frame(0)])
    unclamped = PLAIN.replace(clamp=False)
    with pytest.raises(DataError, match="house0/frame00000: prediction must be finite and above"):
        run(predict=lambda image: oracle(image) * 0, protocol=unclamped)


def test_an_error_in_the_model_or_the_reader_reaches_the_caller() -> None:
    def broken_model(image: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("model")

    def broken_frames() -> Iterator[Any]:
        yield make_frame(0)
        raise OSError("disk")

    with pytest.raises(ZeroDivisionError, match="model"):
        run(predict=broken_model)
    with pytest.raises(OSError, match="disk"):
        run(broken_frames())
    assert not [t for t in threading.enumerate() if t.name.startswith("glpn-")]


def test_reading_and_predicting_overlap() -> None:
    pause, count = 0.03, 12

    def slow_frames() -> Iterator[Any]:
        for frame in make_frames(count):
            time.sleep(pause)
            yield frame

    def slow_model(image: np.ndarray) -> np.ndarray:
        time.sleep(pause)
        return model(image)

    start = time.perf_counter()
    run(slow_frames(), slow_model)
    assert time.perf_counter() - start < 1.6 * pause * count  # one after the other: 2.0
