"""The report: one page, the right frames at its ends, the same bytes each time."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.depth.colormaps import UNKNOWN_COLOR
from glpn.errors import DataError, UsageError
from glpn.evaluation.protocols import Protocol
from glpn.evaluation.runner import evaluate

from .frames import make_frames, model, oracle

pytest.importorskip("matplotlib")
from glpn.evaluation.report import html_report

FRAMES = list(make_frames(12))


def found(frames: Any = FRAMES) -> Any:
    return evaluate(frames, model, protocol=Protocol("plain"), model="<b>abc</b>")


def headings(page: Any) -> list[str]:
    return re.findall(r"<h3>(.*?): ", page)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["abs_rel", "delta1"])
def test_the_worst_median_and_best_frames_are_shown(metric: str) -> None:
    result = found()
    ranked = sorted(result.rows, key=lambda row: getattr(row.metrics, metric))
    if metric == "abs_rel":
        ranked.reverse()  # worst first
    page = html_report(result, FRAMES, predict=model, metric=metric)
    shown = headings(page)
    assert len(shown) == 9
    if metric == "abs_rel":  # no two are equal
        names = [row.name for row in ranked]
        assert shown == names[:3] + names[4:7] + names[-3:]
    assert page.count("data:image/png;base64,") == 11  # 9 frames, histogram, distance


@pytest.mark.slow
def test_uncertainty_adds_calibration_and_ause() -> None:
    def sigma(image: np.ndarray) -> np.ndarray:
        return np.abs(model(image) - oracle(image)) + 1e-3

    two = FRAMES[:2]
    page = html_report(found(two), two, predict=model, uncertainty=sigma)
    assert "AUSE: 0.0000 m" in page and "Within one sigma: 100.0%" in page
    assert page.count("data:image/png;base64,") == 5  # two frames, and three plots
    assert "AUSE" not in html_report(found(two), two, predict=model)


@pytest.mark.slow
def test_the_same_result_gives_the_same_page_with_names_escaped() -> None:
    one = FRAMES[:1]
    page = html_report(found(one), one, predict=model)
    assert page == html_report(found(one), one, predict=model)
    assert len(headings(page)) == 1  # few frames are all shown, once
    assert "All frames, worst first, by abs_rel" in page
    assert "&lt;b&gt;abc" in page and "<b>abc" not in page


@pytest.mark.slow
def test_unknown_depth_is_grey_and_warnings_are_on_the_page() -> None:
    depth = FRAMES[0].depth.copy()
    depth[: len(depth) // 2] = 0
    frames = [replace(FRAMES[0], depth=depth)]
    result = replace(found(frames), warnings=("the unit <seems> wrong",))
    page = html_report(result, frames, predict=model)
    assert "Warning: the unit &lt;seems&gt; wrong" in page
    shown = re.findall('base64,([^"]+)', page)[1]  # after the histogram
    with Image.open(io.BytesIO(base64.b64decode(shown))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels == UNKNOWN_COLOR).all(axis=-1).mean() > 0.02


def test_other_frames_or_metrics_are_refused() -> None:
    with pytest.raises(DataError, match="12 images in the result, 11 frames"):
        html_report(found(), FRAMES[1:], predict=model)
    with pytest.raises(DataError, match="frame 0 is 'other'"):
        html_report(found(), [replace(FRAMES[0], name="other"), *FRAMES[1:]], predict=model)
    with pytest.raises(UsageError, match="metric: expected one of delta1"):
        html_report(found(), FRAMES, predict=model, metric="psnr")
