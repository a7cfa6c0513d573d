"""Runs the evaluations of `glpn evaluate`, prints the results and writes the files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from glpn.cli import console
from glpn.evaluation import measuring
from glpn.evaluation.comparison import compare
from glpn.evaluation.measuring import Request
from glpn.evaluation.result import Result
from glpn.evaluation.saved_predictions import png_saver
from glpn.evaluation.scoring import (
    Evaluation,
    Model,
    require_free,
    score,
    score_pngs,
    study,
    write,
)

_LOSS_METRICS = ("abs_rel", "rmse", "delta1")  # metrics that get a table of relative losses


def say_markdown(text: str) -> None:
    """Print a table and its footer, line by line."""
    for line in text.splitlines():
        console.print_line(console.escaped(line.rstrip()))


def write_files(folder: Path, texts: Mapping[str, str], *, quiet: bool) -> None:
    """Write each text to the file of its name and print the path; raises as `scoring.write`."""
    for path in write(folder, texts):
        if not quiet:
            console.note(console.escaped(f"wrote {path}"))


@dataclass(frozen=True)
class Run:
    """One run of the verb and its printed output.

    Attributes:
        request: the evaluation to run.
        as_json, quiet: the same options as in the other verbs.
    """

    request: Request
    as_json: bool = False
    quiet: bool = False

    def measure(self) -> None:
        """Score a model, write the files and print the table.

        Raises:
            MissingInput, DataError, InvalidImage, ...: frames or model are missing or unusable.
            CannotCreateOutput, OutputFailed: results cannot be written; checked before the work
                starts where possible.
            MissingDependency: a report is requested and matplotlib is not installed.
        """
        request, evaluation = self.request, self._evaluation()
        measuring.prepare(request)
        save = None
        if request.save_pngs is not None:
            scale = request.scale(evaluation.dataset)
            save = png_saver(request.save_pngs, scale=scale, overwrite=request.overwrite)
        model = Model.load(request.model)
        with console.progress(len(evaluation.frames), quiet=self.quiet) as advance:
            result = score(evaluation, model, advance=advance, save=save)
        self._tell(result)
        if request.report and request.output is not None:
            page = measuring.report(evaluation, model, result)
            write_files(request.output, {measuring.REPORT: page}, quiet=self.quiet)
        if request.write_errors:
            with console.progress(len(evaluation.frames), quiet=self.quiet) as advance:
                path = measuring.write_errors(request, evaluation, model, advance=advance)
            if not self.quiet:
                console.note(console.escaped(f"wrote {path}"))

    def measure_pngs(self, folder: Path) -> None:
        """Score the predictions saved in a folder; also raises the errors of `from_pngs`."""
        evaluation = self._evaluation()
        measuring.prepare(self.request)
        scale = self.request.scale(evaluation.dataset)
        with console.progress(len(evaluation.frames), quiet=self.quiet) as advance:
            result = score_pngs(evaluation, folder, scale=scale, advance=advance)
        self._tell(result)

    def measure_robustness(self, severities: tuple[int, ...]) -> None:
        """Score under corruptions; resume an interrupted run. Errors as in `measure`."""
        request, evaluation = self.request, self._evaluation()
        partial = None
        if request.output is not None:
            partial = request.output / measuring.JOURNAL
            resumed = partial.exists() and not request.overwrite
            free = resumed or request.overwrite
            require_free(request.output, (measuring.LOSSES,), overwrite=free)
            if resumed and not self.quiet:
                console.note(console.escaped(f"{partial}: resuming after the scores in it"))
            if not resumed:
                partial.unlink(missing_ok=True)
        model = Model.load(request.model)
        with console.progress(len(evaluation.frames), quiet=self.quiet) as advance:
            found = study(
                evaluation, model, severities=severities, partial=partial, advance=advance
            )
        tables = "\n".join(found.to_markdown(metric) for metric in _LOSS_METRICS)
        if request.output is not None:
            texts = {measuring.LOSSES: found.to_json(), measuring.LOSS_TABLE: tables}
            write_files(request.output, texts, quiet=self.quiet)
        self._say(found.to_json(), tables)

    def _evaluation(self) -> Evaluation:
        """Find the frames and the rules, and print the notes on the frames."""
        found = self.request.evaluation()
        for sentence in found.frames.notes if not self.quiet else ():
            console.note(console.escaped(sentence))
        return found

    def _tell(self, result: Result) -> None:
        """Write a result's files into the output folder, then print the result.

        In this order, `glpn evaluate … | head` loses no file.
        """
        if self.request.output is not None:
            texts = {
                measuring.RESULT: result.to_json(),
                measuring.IMAGES: result.to_csv(),
                measuring.TABLE: result.to_markdown(),
            }
            write_files(self.request.output, texts, quiet=self.quiet)
        self._say(result.to_json(), result.to_markdown())

    def _say(self, text: str, table: str) -> None:
        """Print JSON without the rows of the images, or the table, or nothing."""
        if self.as_json:
            values = json.loads(text)
            values.pop("rows", None)
            values.get("geometry", {}).pop("rows", None)
            console.print_json(values)
        elif not self.quiet:
            say_markdown(table)


def compare_files(first: Path, second: Path, *, as_json: bool) -> None:
    """Print the paired difference of two results that `glpn evaluate` wrote.

    Raises:
        MissingInput: a file does not exist.
        DataError: a file is no result, or the frames or the protocols differ.
    """
    found = compare(measuring.read(first), measuring.read(second))
    if as_json:
        console.print_json(measuring.comparison_record(found))
    else:
        say_markdown(found.to_markdown())
