"""The request for an evaluation, the checks before it starts, and the texts of its results."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from glpn import weights
from glpn.engines.options import EngineOptions
from glpn.errors import DataError, MissingInput
from glpn.evaluation.comparison import Comparison
from glpn.evaluation.error_curve import measure_errors
from glpn.evaluation.report import html_report, require_matplotlib
from glpn.evaluation.result import Result
from glpn.evaluation.saved_predictions import PNG_SCALES
from glpn.evaluation.scoring import Evaluation, Model, Selection, known_focal, require_free

RESULT, IMAGES, TABLE, REPORT = "result.json", "images.csv", "result.md", "report.html"
JOURNAL, LOSSES, LOSS_TABLE = "robustness.jsonl", "robustness.json", "robustness.md"


@dataclass(frozen=True)
class Request:
    """The inputs, rules and outputs of one evaluation.

    Attributes:
        selection: the frames.
        protocol: the protocol's name; None takes the dataset's own.
        rules: fields that replace those of the protocol.
        model: how to open the model.
        use_focal: scale the metres to the focal length of each frame's camera.
        output: the folder for results; None writes no files.
        report: also write the HTML page.
        write_errors: also keep the errors by predicted depth in the model's folder.
        save_pngs: the folder for predictions; None saves none.
        png_scale: units per metre of PNGs; None takes the dataset's usual scale.
        overwrite: replace existing results and PNGs.
    """

    selection: Selection
    protocol: str | None
    rules: Mapping[str, object]
    model: EngineOptions
    use_focal: bool = False
    output: Path | None = None
    report: bool = False
    write_errors: bool = False
    save_pngs: Path | None = None
    png_scale: float | None = None
    overwrite: bool = False

    def evaluation(self) -> Evaluation:
        """Find the frames and the rules; raises the errors of `Evaluation.of` and `known_focal`."""
        focal = known_focal(self.model) if self.use_focal else {}
        return Evaluation.of(self.selection, self.protocol, {**self.rules, **focal})

    def scale(self, dataset: str) -> float:
        """Return the units per metre of PNGs for the dataset."""
        return self.png_scale or PNG_SCALES.get(dataset, PNG_SCALES["nyu"])


def prepare(request: Request) -> None:
    """Check before the work everything that would otherwise fail after it."""
    if request.report:
        require_matplotlib()
    if request.write_errors:
        weights.require_changeable(weights.resolve(request.model.model))
    if request.output is not None:
        names = (RESULT, IMAGES, TABLE, REPORT)
        require_free(request.output, names, overwrite=request.overwrite)


def write_errors(
    request: Request, evaluation: Evaluation, model: Model, *, advance: Callable[[], None]
) -> Path:
    """Measure the errors by predicted depth and keep them in the model's folder.

    Raises:
        CannotCreateOutput, OutputFailed: the folder cannot be written.
    """
    curve = measure_errors(
        evaluation.frames,
        model.estimator,
        protocol=evaluation.protocol,
        data=request.selection.data.resolve().name,
        advance=advance,
    )
    return weights.write_errors(weights.resolve(request.model.model), curve)


def report(evaluation: Evaluation, model: Model, result: Result) -> str:
    """Return the HTML page of a result."""
    # Sigma is in metres of the raw prediction, so it does not fit an aligned one.
    fitted = evaluation.protocol.alignment != "none"
    return html_report(
        result,
        evaluation.frames,
        predict=model.estimator.metres,
        uncertainty=None if fitted else model.sigma,
    )


def read(path: Path) -> Result:
    """Read a result that `evaluate` wrote.

    Raises:
        MissingInput: the file does not exist.
        DataError: the file is no result.
    """
    try:
        return Result.from_json(path.read_text("utf-8"), name=str(path))
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: cannot be read: {e}") from None


def comparison_record(found: Comparison) -> dict[str, object]:
    """Return a comparison as JSON values."""
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
