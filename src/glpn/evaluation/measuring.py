"""What is asked of an evaluation, what it needs before it begins, and the texts of its results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.errors import DataError, MissingInput
from glpn.evaluation.pngs import PNG_SCALES
from glpn.evaluation.report import html_report, require_matplotlib
from glpn.evaluation.result import Comparison, Result
from glpn.evaluation.scoring import Evaluation, Model, Selection, require_free

RESULT, IMAGES, TABLE, REPORT = "result.json", "images.csv", "result.md", "report.html"
JOURNAL, LOSSES, LOSS_TABLE = "robustness.jsonl", "robustness.json", "robustness.md"


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes:
        selection: the frames.
        protocol: its name; None is the set's own.
        rules: fields of `Protocol` that differ from it.
        model: options of `glpn.load`.
        output: folder for results; None writes none.
        report: also write the HTML page.
        save_pngs: folder for predictions.
        png_scale: units per metre of PNGs; None is the set's usual.
        overwrite: replace results.
    """

    selection: Selection
    protocol: str | None
    rules: Mapping[str, Any]
    model: Mapping[str, Any]
    output: Path | None = None
    report: bool = False
    save_pngs: Path | None = None
    png_scale: float | None = None
    overwrite: bool = False

    def evaluation(self) -> Evaluation:
        """Frames and rules; errors as `Evaluation.of`."""
        return Evaluation.of(self.selection, self.protocol, self.rules)

    def scale(self, dataset: str) -> float:
        """Units per metre of PNGs."""
        return self.png_scale or PNG_SCALES.get(dataset, PNG_SCALES["nyu"])


def prepare(request: Request) -> None:
    """Find out now what would otherwise fail after the work is done."""
    if request.report:
        require_matplotlib()
    if request.output is not None:
        names = (RESULT, IMAGES, TABLE, REPORT)
        require_free(request.output, names, overwrite=request.overwrite)


def report(evaluation: Evaluation, model: Model, result: Result) -> str:
    """The HTML page of a result."""
    # Sigma is in the metres of the prediction itself, not of one that was fitted to the truth.
    fitted = evaluation.protocol.alignment != "none"
    return html_report(
        result,
        evaluation.frames,
        predict=model.estimator.metres,
        uncertainty=None if fitted else model.sigma,
    )


def read(path: Path) -> Result:
    """A result that `evaluate` wrote.

    Raises:
        MissingInput: the file is not there.
        DataError: it is no result.
    """
    try:
        return Result.from_json(path.read_text("utf-8"), name=str(path))
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: cannot be read: {e}") from None


def comparison_record(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON values."""
    return {
        "first": found.first.model,
        "second": found.second.model,
        "images": len(found.first.rows),
        "protocol": found.first.protocol.hash(),
        "differences": {
            metric: {k: v if math.isfinite(v) else None for k, v in difference._asdict().items()}
            for metric, difference in found.differences.items()
        },
    }
