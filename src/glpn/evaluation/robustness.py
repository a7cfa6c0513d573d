"""Robustness: scores one model under every corruption and severity; an interrupted run resumes."""

from __future__ import annotations

import dataclasses
import json
import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glpn.data.sample import Sample
from glpn.errors import DataError, UsageError
from glpn.evaluation.corruptions import CORRUPTIONS, SEVERITIES, Corruption
from glpn.evaluation.journal import Entry, Journal
from glpn.evaluation.metrics import HIGHER_IS_BETTER, METRIC_NAMES
from glpn.evaluation.pipeline import Predict, Task, predict_task, score_tasks, task
from glpn.evaluation.protocols import Protocol
from glpn.evaluation.result import (
    count_scenes,
    ends,
    heading,
    images_in_words,
    interval_json,
    named_intervals,
    package_versions,
    settings_lines,
)
from glpn.evaluation.runner import SEED
from glpn.evaluation.statistics import Interval, mean_intervals

FORMAT = "glpn-robustness-1"
CLEAN = "clean"


@dataclass(frozen=True)
class Study:
    """The corruptions of the images and the rules of scoring.

    `context` holds all other settings that affect the scores, as JSON values: the frames, the
    reading of their depth, the engine. A run resumes only with the same context.

    Raises:
        UsageError: a corruption or severity is unknown, or the protocol pools pixels.
    """

    protocol: Protocol
    corruptions: tuple[str, ...] = CORRUPTIONS
    severities: tuple[int, ...] = SEVERITIES
    seed: int = 0
    lengths: Literal["image", "pixels"] = "image"
    context: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.protocol.average != "per-image":
            raise UsageError("robustness: the protocol must average per image, not pool pixels")
        if not self.corruptions or not self.severities:
            raise UsageError("robustness: expected at least one corruption and one severity")
        self.conditions()

    def conditions(self) -> dict[str, Corruption | None]:
        """Return the conditions by name, in order: the clean image, "fog 1", "fog 2" and so on."""
        found: dict[str, Corruption | None] = {CLEAN: None}
        for name in self.corruptions:
            for severity in self.severities:
                found[condition(name, severity)] = Corruption(
                    name, severity, seed=self.seed, lengths=self.lengths
                )
        return found

    def settings(self) -> dict[str, object]:
        """Return all fields as JSON values."""
        values = dataclasses.asdict(self)
        return {**values, "protocol": {**values["protocol"], "hash": self.protocol.hash()}}


@dataclass(frozen=True)
class Robustness:
    """The scores of one model under corruption.

    Attributes:
        model: identifies the weights.
        study: the corruptions and the rules.
        images, scenes: the numbers of images and scenes; `scenes` is None if unknown.
        means: condition → metric → mean over images and 95 % interval.
        versions: package → version.
        warnings: caveats of the dataset for a reader of the figures.
    """

    model: str
    study: Study
    images: int
    scenes: int | None
    means: Mapping[str, Mapping[str, Interval]]
    versions: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def relative_loss(self, metric: str) -> dict[str, float]:
        """Return the metric's mean relative loss over severities for each corruption.

        Losses are relative to the clean images: 0.25 means that the error is a quarter higher, or
        that the fraction of good pixels is a quarter lower. NaN if the clean value is 0.
        """
        clean = self.means[CLEAN][metric].value
        sign = -1 if metric in HIGHER_IS_BETTER else 1
        losses = {}
        for name in self.study.corruptions:
            values = [self.means[condition(name, s)][metric].value for s in self.study.severities]
            mean = sum(values) / len(values)
            losses[name] = sign * (mean - clean) / clean if clean else math.nan
        return losses

    def to_json(self) -> str:
        """Return everything; the same run gives the same bytes."""
        losses = {metric: self.relative_loss(metric) for metric in METRIC_NAMES}
        values = {
            "format": FORMAT,
            "model": self.model,
            "study": self.study.settings(),
            "images": self.images,
            "scenes": self.scenes,
            "versions": dict(self.versions),
            "means": {
                name: {metric: interval_json(i) for metric, i in means.items()}
                for name, means in self.means.items()
            },
            "relative_loss": {
                metric: {k: None if math.isnan(v) else v for k, v in by_name.items()}
                for metric, by_name in losses.items()
            },
        }
        if self.warnings:
            values["warnings"] = list(self.warnings)
        return json.dumps(values, indent=1, allow_nan=False) + "\n"

    def to_markdown(self, metric: str = "abs_rel") -> str:
        """Return a table of one metric: a row per corruption, a column per severity, the loss."""
        clean = self.means[CLEAN][metric]
        losses = self.relative_loss(metric)
        across = " | ".join(map(str, self.study.severities))
        lines = [
            f"{heading(metric)}; clean {clean.value:.4f} (95 % interval: {ends(clean)})",
            "",
            f"| corruption | {across} | mean | worse by |",
            "|---" * (len(self.study.severities) + 3) + "|",
        ]
        for name in self.study.corruptions:
            values = [self.means[condition(name, s)][metric].value for s in self.study.severities]
            cells = " | ".join(f"{v:.4f}" for v in [*values, sum(values) / len(values)])
            lines.append(f"| {name} | {cells} | {losses[name]:+.1%} |")
        mean = sum(losses.values()) / len(losses)
        lines.append("| **all** |" + " |" * (len(self.study.severities) + 1) + f" {mean:+.1%} |")
        lines += [
            "",
            *(f"Warning: {warning}  " for warning in self.warnings),
            f"Model: {self.model}  ",
            f"Images: {images_in_words(self.images, self.scenes)}  ",
            f"Corruptions: seed {self.study.seed}, lengths by {self.study.lengths}  ",
            *settings_lines(self.study.context),
            f"Protocol: {self.study.protocol.name} ({self.study.protocol.hash()})",
        ]
        return "\n".join(lines) + "\n"


def robustness(
    frames: Iterable[Sample],
    predict: Predict,
    *,
    study: Study,
    model: str,
    partial: str | Path | None = None,
) -> Robustness:
    """Score a model on every frame under every condition of the study.

    Each frame is read once. Corruption and prediction run concurrently. With `partial`, every score
    is appended to that JSONL file, and a later run resumes after the last score. The result has the
    same bytes as that of an uninterrupted run.

    Args:
        frames, predict, model: see `evaluate`; a resumed run needs the frames in the same order.
        study: the corruptions and the rules.
        partial: the file of scores; None keeps them only in memory.

    Raises:
        DataError: as in `evaluate`, or the partial file belongs to another study, model or dataset.
    """
    scores = {name: array("d") for name in study.conditions()}
    names: list[str] = []
    scenes: list[str | None] = []

    def keep(entry: Entry) -> None:
        if entry.condition not in scores:
            raise DataError(f"robustness: {entry.condition!r} is no condition of this study")
        scores[entry.condition].extend(entry.metrics)
        if entry.condition == CLEAN:
            names.append(entry.name)
            scenes.append(entry.scene)

    journal = None
    if partial is not None:
        header = {"format": FORMAT, "glpn": package_versions()["glpn"], "model": model}
        journal = Journal(partial, {**header, "study": study.settings()})
        for entry in journal.replay():
            keep(entry)
    fresh = _score(_tasks(frames, study, tuple(names), _count(scores)), predict, study)
    for entry in fresh if journal is None else journal.append(fresh):
        keep(entry)
    if not names:
        raise DataError("robustness: no frame to score")
    return Robustness(
        model=model,
        study=study,
        images=len(scenes),
        scenes=count_scenes(scenes),
        means={name: _intervals(values, scenes) for name, values in scores.items()},
        versions=package_versions(),
    )


def condition(name: str, severity: int) -> str:
    """Return the name of a corruption at a severity in tables and files."""
    return f"{name} {severity}"


def _tasks(
    frames: Iterable[Sample], study: Study, names: tuple[str, ...], done: int
) -> Iterator[Task]:
    """Yield every frame under every condition after the first `done`, which cover `names`."""
    conditions = study.conditions()
    index = -1
    for index, frame in enumerate(frames):
        if index < len(names) and frame.name != names[index]:
            raise DataError(
                f"robustness: the kept scores have {names[index]!r} where the set has "
                f"{frame.name!r}"
            )
        rest = list(conditions.items())[max(0, done - index * len(conditions)) :]
        if not rest:
            continue
        clean = task(frame, study.protocol)
        for name, corruption in rest:
            image = clean.image if corruption is None else corruption(clean.image, index)
            yield dataclasses.replace(clean, image=image, condition=name)
    if index + 1 < len(names):
        raise DataError(f"robustness: kept scores of {len(names)} frames, the set has {index + 1}")


def _score(tasks: Iterator[Task], predict: Predict, study: Study) -> Iterator[Entry]:
    protocol = study.protocol

    def predicted(item: Task) -> NDArray[np.floating]:
        return predict_task(predict, item, protocol)

    for score in score_tasks(tasks, predicted, protocol=protocol):
        yield Entry(score.name, score.scene, score.condition, score.sums.metrics())


def _count(scores: Mapping[str, array[float]]) -> int:
    """Return the number of scores."""
    return sum(map(len, scores.values())) // len(METRIC_NAMES)


def _intervals(values: array[float], scenes: Sequence[str | None]) -> dict[str, Interval]:
    table = np.frombuffer(values, dtype=np.float64).reshape(-1, len(METRIC_NAMES))
    return named_intervals(mean_intervals(table, scenes, seed=SEED))
