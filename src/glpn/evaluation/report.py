"""A result as one HTML file: best and worst frames, errors by distance, calibration."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from glpn.data.sample import Samples
from glpn.depth.colormaps import DEFAULT_COLORMAP, UNKNOWN_COLOR
from glpn.errors import DataError, MissingDependency, require_choice
from glpn.evaluation.metrics import HIGHER_IS_BETTER, METRIC_NAMES
from glpn.evaluation.pipeline import Predict, Task, predict_task, task
from glpn.evaluation.protocols import prepare_prediction
from glpn.evaluation.result import Result, ends, heading
from glpn.evaluation.uncertainty import calibration, sparsification

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FRAMES_SHOWN = 3  # frames in each group: worst, median and best
FRAMES_SAMPLED = 64  # evenly spaced frames for the plots over pixels
_PIXELS_SAMPLED = 4000  # pixels from each sampled frame
_BINS = 20
_HEAD = """<!doctype html><meta charset="utf-8"><title>glpn evaluation</title>
<style>body{font:15px sans-serif;max-width:70em;margin:2em auto}td,th{padding:.2em 1em}
img{max-width:100%}</style>"""


@dataclass(frozen=True)
class _Pixels:
    """Valid pixels of sampled frames, joined: metres [N]."""

    prediction: NDArray[np.float64]
    target: NDArray[np.float64]
    sigma: NDArray[np.float64] | None


def html_report(
    result: Result,
    frames: Samples,
    *,
    predict: Predict,
    uncertainty: Predict | None = None,
    metric: str = "abs_rel",
) -> str:
    """Return the report as one self-contained HTML page.

    The report predicts the displayed frames again, and up to 64 evenly spaced frames for the plots
    by distance and of calibration. The page states this.

    Args:
        result: the result of `evaluate`.
        frames, predict: the arguments of that call.
        uncertainty: RGB uint8 [H, W, 3] → one sigma in metres [H, W], if available.
        metric: the metric that ranks the frames.

    Raises:
        MissingDependency: matplotlib is not installed.
        UsageError: the metric is unknown.
        DataError: the frames differ from those of the result.
    """
    require_matplotlib()
    require_choice("metric", metric, METRIC_NAMES)
    if len(frames) != len(result.rows):
        raise DataError(f"report: {len(result.rows)} images in the result, {len(frames)} frames")
    pixels = _sample(result, frames, predict, uncertainty)
    parts = ["<h1>Depth evaluation</h1>", _means(result), _histogram(result, metric)]
    for title, indices in _ranked(result, metric).items():
        parts.append(f"<h2>{title} by {metric}</h2>")
        parts += [_frame(result, frames, i, predict=predict, metric=metric) for i in indices]
    sampled = min(len(frames), FRAMES_SAMPLED)
    parts.append(f"<h2>Error by distance</h2><p>Over pixels of {sampled} evenly spaced frames.</p>")
    parts.append(_by_distance(pixels))
    if pixels.sigma is not None:
        parts += ["<h2>Uncertainty</h2>", _uncertainty(pixels)]
    return "\n".join([_HEAD, *parts]) + "\n"


def require_matplotlib() -> None:
    """Check that a report can be drawn.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as e:
        raise MissingDependency("the report needs matplotlib", extra="train") from e


def _ranked(result: Result, metric: str) -> dict[str, list[int]]:
    """Return the positions of the worst, middle and best frames, worst first in each group.

    Few frames are all shown, once.
    """
    values = np.array([getattr(row.metrics, metric) for row in result.rows])
    worst_first = np.argsort(values if metric in HIGHER_IS_BETTER else -values, kind="stable")
    shown = FRAMES_SHOWN
    if len(worst_first) <= 3 * shown:
        return {"All frames, worst first,": worst_first.tolist()}
    middle = (len(worst_first) - shown) // 2
    return {
        "Worst frames": worst_first[:shown].tolist(),
        "Median frames": worst_first[middle : middle + shown].tolist(),
        "Best frames": worst_first[len(worst_first) - shown :].tolist(),
    }


def _fetch(
    result: Result, frames: Samples, index: int, predict: Predict
) -> tuple[Task, NDArray[np.floating]]:
    """Return a frame with the protocol's crop, and its prediction prepared for scoring."""
    frame = frames[index]
    if frame.name != result.rows[index].name:
        raise DataError(
            f"report: frame {index} is {frame.name!r}, in the result {result.rows[index].name!r}"
        )
    item = task(frame, result.protocol)
    prediction = predict_task(predict, item, result.protocol)
    return item, prepare_prediction(result.protocol, prediction, item.target, item.valid)


def _sample(
    result: Result, frames: Samples, predict: Predict, uncertainty: Predict | None
) -> _Pixels:
    taken: list[tuple[NDArray[np.floating], ...]] = []
    for index in np.unique(np.linspace(0, len(frames) - 1, FRAMES_SAMPLED).round().astype(int)):
        item, prediction = _fetch(result, frames, int(index), predict)
        maps = [prediction, item.target]
        if uncertainty is not None:
            maps.append(np.asarray(uncertainty(item.image)) * item.factor)
        step = max(1, np.count_nonzero(item.valid) // _PIXELS_SAMPLED)
        taken.append(tuple(m[item.valid][::step].astype(np.float64) for m in maps))
    joined = [np.concatenate(parts) for parts in zip(*taken, strict=True)]
    return _Pixels(joined[0], joined[1], joined[2] if uncertainty is not None else None)


def _means(result: Result) -> str:
    rows = (
        f"<tr><td>{heading(name)}<td>{i.value:.4f}<td>{ends(i)}" for name, i in result.means.items()
    )
    lines = (*(f"Warning: {warning}" for warning in result.warnings), *result.describe())
    settings = "".join(f"<p>{html.escape(line.strip())}</p>" for line in lines)
    return f"<table><tr><th>metric<th>value<th>95 % interval{''.join(rows)}</table>{settings}"


def _histogram(result: Result, metric: str) -> str:
    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.hist([getattr(row.metrics, metric) for row in result.rows], bins=_BINS)
        axes.set(xlabel=f"{metric} of an image", ylabel="images")

    return _picture(draw, (7, 2.5))


def _frame(result: Result, frames: Samples, index: int, *, predict: Predict, metric: str) -> str:
    item, prediction = _fetch(result, frames, index, predict)
    target = np.where(item.valid, item.target, np.nan)
    error = np.abs(prediction - target) / target
    nearest, farthest = float(np.nanmin(target)), float(np.nanmax(target))

    def draw(figure: Figure) -> None:
        import matplotlib

        unknown = "#{:02x}{:02x}{:02x}".format(*UNKNOWN_COLOR)
        depth_colors, error_colors = (
            matplotlib.colormaps[name].with_extremes(bad=unknown)
            for name in (DEFAULT_COLORMAP, "magma")
        )
        axes = figure.subplots(1, 4)
        for one, title in zip(
            axes, ("image", "truth [m]", "prediction [m]", "|error| / truth"), strict=True
        ):
            one.set_title(title)
            one.set_axis_off()
        axes[0].imshow(item.image)
        for one, depth in ((axes[1], target), (axes[2], prediction)):
            shown = one.imshow(depth, vmin=nearest, vmax=farthest, cmap=depth_colors)
            figure.colorbar(shown, ax=one, shrink=0.6)
        figure.colorbar(
            axes[3].imshow(error, vmin=0, vmax=0.5, cmap=error_colors), ax=axes[3], shrink=0.6
        )

    value = getattr(result.rows[index].metrics, metric)
    return f"<h3>{html.escape(item.name)}: {value:.4f}</h3>" + _picture(draw, (14, 3))


def _by_distance(pixels: _Pixels) -> str:
    edges = np.linspace(pixels.target.min(), pixels.target.max(), _BINS + 1)
    place = np.clip(np.searchsorted(edges, pixels.target, side="right") - 1, 0, _BINS - 1)
    count = np.bincount(place, minlength=_BINS)
    relative = (pixels.prediction - pixels.target) / pixels.target
    filled = count > 0
    centres = ((edges[:-1] + edges[1:]) / 2)[filled]
    size, bias = (
        np.bincount(place, weights=w, minlength=_BINS)[filled] / count[filled]
        for w in (np.abs(relative), relative)
    )

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(centres, size, marker="o", label="mean |error| / truth")
        axes.plot(centres, bias, marker="o", label="mean error / truth (above 0: too far)")
        axes.axhline(0, color="grey", linewidth=0.5)
        axes.set(xlabel="true distance [m]")
        axes.legend()

    return _picture(draw, (7, 3.5))


def _uncertainty(pixels: _Pixels) -> str:
    maps = (pixels.prediction, pixels.target, cast(NDArray[np.float64], pixels.sigma))
    found = calibration(*maps)
    rmse, abs_rel = (sparsification(*maps, metric=m) for m in ("rmse", "abs_rel"))

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        left.plot(found.levels, found.observed, marker="o")
        left.plot([0, 1], [0, 1], color="grey", linewidth=0.5)
        left.set(xlabel="promised share of pixels", ylabel="observed share", title="Calibration")
        right.plot(rmse.removed, rmse.error, label="by uncertainty")
        right.plot(rmse.removed, rmse.oracle, label="by true error")
        right.set(xlabel="share removed", ylabel="RMSE of the rest [m]", title="Sparsification")
        right.legend()

    return (
        f"<p>Within one sigma: {found.within_one_sigma:.1%} (68.3 % if right); calibration error "
        f"{found.error:.4f}; half of the errors exceed {found.median:.2g} sigma (0.67 if right). "
        f"AUSE: {rmse.ause:.4f} m (rmse), {abs_rel.ause:.4f} (abs_rel).</p>"
        + _picture(draw, (11, 4))
    )


def _picture(draw: Callable[[Figure], None], inches: tuple[float, float]) -> str:
    """Return a drawing as an inline PNG; drawings share no state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=inches, layout="constrained")
    draw(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, metadata={"Software": None})
    return (
        f'<img alt="" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
    )
