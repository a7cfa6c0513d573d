"""What `glpn evaluate` does: measure a model, or saved predictions, or robustness; compare two."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.cli import console
from glpn.cli.scoring import (
    Evaluation,
    Model,
    Selection,
    require_free,
    say_markdown,
    score,
    score_pngs,
    study,
    write,
)
from glpn.errors import DataError, MissingInput
from glpn.evaluation.pngs import PNG_SCALES, png_saver
from glpn.evaluation.report import html_report, require_matplotlib
from glpn.evaluation.result import Comparison, Result, compare

RESULT, IMAGES, TABLE, REPORT = "result.json", "images.csv", "result.md", "report.html"
JOURNAL, LOSSES, LOSS_TABLE = "robustness.jsonl", "robustness.json", "robustness.md"
_LOSS_METRICS = ("abs_rel", "rmse", "delta1")  # a table for each


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
        as_json, quiet: as in the other verbs.
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
    as_json: bool = False
    quiet: bool = False

    def evaluation(self) -> Evaluation:
        """Frames and rules; what there is to say of them is said. Errors as `Evaluation.of`."""
        found = Evaluation.of(self.selection, self.protocol, self.rules)
        for sentence in found.frames.notes if not self.quiet else ():
            console.note(console.escaped(sentence))
        return found

    def scale(self, dataset: str) -> float:
        """Units per metre of PNGs."""
        return self.png_scale or PNG_SCALES.get(dataset, PNG_SCALES["nyu"])


def measure(request: Request) -> None:
    """Score a model, print the table, write the files.

    Raises:
        MissingInput, DataError, InvalidImage, ...: frames or model are missing or unusable.
        CannotCreateOutput, OutputFailed: results cannot be written; found out first if possible.
        MissingDependency: a report is wanted and matplotlib is not installed.
    """
    evaluation = request.evaluation()
    _prepare(request)
    save = None
    if request.save_pngs is not None:
        save = png_saver(request.save_pngs, scale=request.scale(evaluation.dataset))
    model = Model.load(request.model)
    result = score(evaluation, model, save=save, quiet=request.quiet)
    _tell(request, result)
    if request.report and request.output is not None:
        write(request.output, {REPORT: _report(evaluation, model, result)}, quiet=request.quiet)


def measure_pngs(request: Request, folder: Path) -> None:
    """The same for predictions saved in a folder; errors also as `from_pngs`."""
    evaluation = request.evaluation()
    _prepare(request)
    scale = request.scale(evaluation.dataset)
    _tell(request, score_pngs(evaluation, folder, scale=scale, quiet=request.quiet))


def measure_robustness(request: Request, severities: tuple[int, ...]) -> None:
    """Score a model under corruptions, going on where a run before was stopped; errors as above."""
    evaluation = request.evaluation()
    partial = None
    if request.output is not None:
        partial = request.output / JOURNAL
        resumed = partial.exists() and not request.overwrite
        require_free(request.output, (LOSSES,), overwrite=resumed or request.overwrite)
        if resumed and not request.quiet:
            console.note(console.escaped(f"{partial}: going on after what is there"))
        if not resumed:
            partial.unlink(missing_ok=True)
    found = study(
        evaluation,
        Model.load(request.model),
        severities=severities,
        partial=partial,
        quiet=request.quiet,
    )
    tables = "\n".join(found.to_markdown(metric) for metric in _LOSS_METRICS)
    _say(request, found.to_json(), tables)
    if request.output is not None:
        texts = {LOSSES: found.to_json(), LOSS_TABLE: tables}
        write(request.output, texts, quiet=request.quiet)


def compare_files(first: Path, second: Path, *, as_json: bool) -> None:
    """Print the paired difference of two results that `evaluate` wrote.

    Raises:
        MissingInput: a file is not there.
        DataError: a file is no result, or they are of other frames or another protocol.
    """
    found = compare(_read(first), _read(second))
    if as_json:
        console.say_json(_comparison_record(found))
    else:
        say_markdown(found.to_markdown())


def _prepare(request: Request) -> None:
    """Find out now what would otherwise fail after the work is done."""
    if request.report:
        require_matplotlib()
    if request.output is not None:
        names = (RESULT, IMAGES, TABLE, REPORT)
        require_free(request.output, names, overwrite=request.overwrite)


def _tell(request: Request, result: Result) -> None:
    """Print a result and write its files."""
    _say(request, result.to_json(), result.to_markdown())
    if request.output is not None:
        texts = {RESULT: result.to_json(), IMAGES: result.to_csv(), TABLE: result.to_markdown()}
        write(request.output, texts, quiet=request.quiet)


def _say(request: Request, text: str, table: str) -> None:
    """Print JSON without the rows of single images, or the table, or nothing."""
    if request.as_json:
        values = json.loads(text)
        values.pop("rows", None)
        values.get("geometry", {}).pop("rows", None)
        console.say_json(values)
    elif not request.quiet:
        say_markdown(table)


def _report(evaluation: Evaluation, model: Model, result: Result) -> str:
    # Sigma is in the metres of the prediction itself, not of one that was fitted to the truth.
    fitted = evaluation.protocol.alignment != "none"
    return html_report(
        result,
        evaluation.frames,
        predict=model.estimator.metres,
        uncertainty=None if fitted else model.sigma,
    )


def _read(path: Path) -> Result:
    try:
        return Result.from_json(path.read_text("utf-8"), name=str(path))
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: cannot be read: {e}") from None


def _comparison_record(found: Comparison) -> dict[str, Any]:
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
