"""The comparison of two results on the same images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from glpn.data.frames import plural
from glpn.errors import DataError
from glpn.evaluation.metrics import METRIC_NAMES
from glpn.evaluation.result import Result, ends, heading, scores_of
from glpn.evaluation.statistics import Difference, Interval, paired_differences


@dataclass(frozen=True)
class Comparison:
    """Compare two models on the same images: the difference second - first for each metric."""

    first: Result
    second: Result
    differences: Mapping[str, Difference]

    def to_markdown(self) -> str:
        """Return a table of both models and their paired difference."""
        lines = [
            "| metric | A | B | B - A | 95 % interval | p |",
            "|---|---|---|---|---|---|",
        ]
        scores = (scores_of(self.first).mean(axis=0), scores_of(self.second).mean(axis=0))
        for (name, d), a, b in zip(self.differences.items(), *scores, strict=True):
            lines.append(
                f"| {heading(name)} | {a:.4f} | {b:.4f} | {d.value:+.4f} | "
                f"{ends(Interval(*d[:3]))} | {d.p_value:.4f} |"
            )
        warnings = dict.fromkeys((*self.first.warnings, *self.second.warnings))
        lines += ["", *(f"Warning: {warning}  " for warning in warnings)]
        lines += [f"A: {self.first.model}  ", *self.second.describe("B")]
        return "\n".join(lines) + "\n"


def compare(first: Result, second: Result) -> Comparison:
    """Return the paired difference of two results, image by image.

    Raises:
        DataError: the images, the protocols or the true depths of the results differ, or their
            metrics are pooled.
    """
    if first.protocol.hash() != second.protocol.hash():
        one, other = first.protocol.settings(), second.protocol.settings()
        unlike = (f"{key} {one[key]} and {other[key]}" for key in one if one[key] != other[key])
        raise DataError(f"compare: the protocols differ: {', '.join(unlike)}")
    if first.protocol.average == "pooled":
        raise DataError(
            "compare: pooled results have no paired test, which needs the metrics of each image; "
            "measure both without --pooled"
        )
    order = {row.name: row for row in second.rows}
    odd = sorted(order.keys() ^ {row.name for row in first.rows})
    if odd or len(order) != len(first.rows) or len(order) != len(second.rows):
        shown = ", ".join(odd[:5]) or "names repeat"
        raise DataError(f"compare: the results are not of the same images: {shown}")
    _require_same_truth(first, second)
    paired = np.array([order[row.name].metrics for row in first.rows])
    scenes = [row.scene for row in first.rows]
    found = paired_differences(scores_of(first), paired, scenes, seed=first.seed)
    return Comparison(first, second, dict(zip(METRIC_NAMES, found, strict=True)))


def _require_same_truth(first: Result, second: Result) -> None:
    """Refuse results of the same images that were scored against different depths."""
    one, other = (dict(_reading(result)) for result in (first, second))
    keys = [key for key in one.keys() & other.keys() if one[key] != other[key]]
    if keys:
        unlike = ", ".join(f"{key} {one[key]} and {other[key]}" for key in sorted(keys))
        raise DataError(f"compare: the results read the true depth differently: {unlike}")
    pixels = {row.name: row.pixels for row in second.rows}
    odd = [row for row in first.rows if row.pixels != pixels[row.name]]
    if odd:
        raise DataError(
            f"compare: the valid pixels of the true depth differ in {plural(len(odd), 'image')}: "
            f"{odd[0].name} has {odd[0].pixels:,} and {pixels[odd[0].name]:,}"
        )


def _reading(result: Result) -> Iterator[tuple[str, object]]:
    """The settings by which the true depth was read, as in JSON; none for frames from Python."""
    reading = json.loads(json.dumps(result.settings.get("reading")))
    for key, value in reading.items() if isinstance(reading, dict) else ():
        yield from value.items() if isinstance(value, dict) else [(key, value)]
