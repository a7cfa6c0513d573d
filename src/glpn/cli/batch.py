"""A batch of photographs: what is there already, what must be predicted, and doing it.

One photograph that fails never stops the others. Only what no other would escape ends the batch:
a full disk, a package that is missing.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glpn import files
from glpn.cli import console
from glpn.cli.answers import Answer, Questions
from glpn.cli.inputs import Input
from glpn.errors import (
    CannotCreateOutput,
    GLPNError,
    ImageTooLarge,
    MissingDependency,
    MissingInput,
    OutputFailed,
    UsageError,
)
from glpn.estimator import DepthEstimator, load
from glpn.image import read_photo

# Exit codes, the one that counts first: an output that failed needs the user's hand, a bad
# photograph outweighs one that is not there.
_PRECEDENCE = (
    OutputFailed.exit_code,
    CannotCreateOutput.exit_code,
    GLPNError.exit_code,
    MissingInput.exit_code,
    UsageError.exit_code,
)
_FATAL = (OutputFailed, MissingDependency)
_PREDICTED, _KEPT, _FAILED, _NOT_TRIED = _OUTCOMES = ("predicted", "kept", "failed", "not tried")


def worst(codes: Iterable[int]) -> int:
    """The exit code of several failures: the first of 74, 73, 65, 66, 2; 0 of none."""
    return min(codes, key=_PRECEDENCE.index, default=0)


@dataclass(frozen=True)
class Request:
    """What is wanted of every photograph.

    Attributes:
        model: options of `glpn.load`, `model` itself among them.
        output: the folder for files.
        formats: keys of `glpn.files.FORMATS`, perhaps none.
        options: of a format's encoder, for those formats that have some.
        focal, fov: of the camera, in pixels and degrees; at most one is known.
        questions: places to be measured.
        uncertainty: of `DepthEstimator`'s call.
        overwrite: replace files that are there.
        as_json: answer in JSON.
        quiet: answer in JSON or not at all.
    """

    model: Mapping[str, Any]
    output: Path
    formats: Sequence[str]
    options: Mapping[str, Mapping[str, Any]]
    questions: Questions
    focal: float | None = None
    fov: float | None = None
    uncertainty: str | None = None
    overwrite: bool = False
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Task:
    """One photograph: what to write, and what is there and stays, both format → file."""

    photo: Input
    write: Mapping[str, Path]
    keep: Mapping[str, Path]


@dataclass
class Batch:
    """The run over a list of photographs; `run` does it."""

    request: Request
    counts: Counter[str] = field(default_factory=Counter)
    codes: list[int] = field(default_factory=list)

    def run(self, inputs: Sequence[Input], failures: Iterable[tuple[str, GLPNError]]) -> int:
        """Predict all; `failures` are inputs that were not even found.

        Returns:
            The exit code.

        Raises:
            CannotCreateOutput: nothing can be written into the folder; nothing was predicted.
            MissingInput, CheckpointError, ConfigError, ...: the model cannot be opened.
            UsageError: it cannot tell the uncertainty.
        """
        for name, error in failures:
            self._failed(name, error)
        tasks = self._plan(inputs)
        if any(task.write for task in tasks):
            files.require_writable_folder(self.request.output)
        if tasks:
            estimator = load(**self.request.model)
            estimator.require_uncertainty(self.request.uncertainty)
            self._predict_all(tasks, estimator)
        self._summarise(len(inputs))
        return worst(self.codes)

    def _plan(self, inputs: Sequence[Input]) -> list[Task]:
        """The photographs that must be predicted; the others are answered for here."""
        sources = _identities(inputs)
        tasks = []
        for photo, stem in zip(inputs, files.output_stems([i.name for i in inputs]), strict=True):
            targets = {
                format: self.request.output / f"{stem}{files.FORMATS[format].suffix}"
                for format in self.request.formats
            }
            try:
                write = {f: path for f, path in targets.items() if self._must(f, path, sources)}
            except GLPNError as e:
                self._failed(photo.name, e)
                continue
            if targets and not write and not self.request.questions:
                self._kept(photo, targets)
            else:
                keep = {f: path for f, path in targets.items() if f not in write}
                tasks.append(Task(photo, write, keep))
        return tasks

    def _must(self, format: str, path: Path, sources: set[tuple[int, int]]) -> bool:
        """Whether the file is to be written: not if it is there, complete and may stay.

        Raises:
            CannotCreateOutput: something else is in its place.
        """
        try:
            there = os.lstat(path)
        except (OSError, ValueError):
            return True  # nothing there; what else is wrong shows when it is written
        if (there.st_dev, there.st_ino) in sources:
            raise CannotCreateOutput(f"{path}: is a photograph to be read; choose another -o")
        if self.request.overwrite:
            return True
        if files.valid_output(path, format):
            return False
        raise CannotCreateOutput(
            f"{path}: exists and is no complete {format} file; --overwrite replaces it"
        )

    def _predict_all(self, tasks: Sequence[Task], estimator: DepthEstimator) -> None:
        with console.progress(len(tasks), quiet=self.request.quiet) as advance:
            for done, task in enumerate(tasks):
                try:
                    answer = self._predict(task, estimator)
                except _FATAL as e:
                    self._failed(task.photo.name, e)
                    self.counts[_NOT_TRIED] = len(tasks) - done - 1
                    return
                except GLPNError as e:
                    self._failed(task.photo.name, e)
                else:
                    self._predicted(answer)
                advance()

    def _predict(self, task: Task, estimator: DepthEstimator) -> Answer:
        try:
            photo = read_photo(task.photo.source, name=task.photo.name)
            depth = estimator(
                photo,
                focal=self.request.focal,
                fov=self.request.fov,
                uncertainty=self.request.uncertainty,
            )
            measured = self.request.questions.ask(depth)
            for format, path in task.write.items():
                options = self.request.options.get(format, {})
                depth.save(path, format, overwrite=self.request.overwrite, **options)
        except MemoryError:
            raise ImageTooLarge(f"{task.photo.name}: not enough memory") from None
        return Answer(task.photo.name, depth, measured, task.write, task.keep)

    def _predicted(self, answer: Answer) -> None:
        self.counts[_PREDICTED] += 1
        self._answer(answer.line(), answer.record())

    def _kept(self, photo: Input, targets: Mapping[str, Path]) -> None:
        self.counts[_KEPT] += 1
        names = {format: str(path) for format, path in targets.items()}
        record = {"image": photo.name, "status": _KEPT, "files": names}
        self._answer(f"{photo.name}: there already: {', '.join(names.values())}", record)

    def _failed(self, name: str, error: GLPNError) -> None:
        self.counts[_FAILED] += 1
        self.codes.append(error.exit_code)
        shown, message = console.escaped(name), console.escaped(error)
        message = message if message.startswith(shown) else f"{shown}: {message}"
        console.complain(message)
        if self.request.as_json:
            code = error.exit_code
            console.say_json({"image": name, "status": _FAILED, "error": message, "code": code})

    def _answer(self, line: str, record: Mapping[str, Any]) -> None:
        if self.request.as_json:
            console.say_json(record)
        elif not self.request.quiet:
            console.say(console.escaped(line))

    def _summarise(self, photographs: int) -> None:
        """Counts, wherever the lines of single photographs do not say it all."""
        kept = self.counts[_KEPT]
        if self.request.quiet or (photographs < 2 and not kept):
            return
        counts = ", ".join(f"{self.counts[what]} {what}" for what in _OUTCOMES if self.counts[what])
        where = f"; files are in {self.request.output}" if self.request.formats else ""
        again = "; --overwrite predicts those kept again" if kept else ""
        console.note(console.escaped(f"{counts}{where}{again}"))


def _identities(inputs: Iterable[Input]) -> set[tuple[int, int]]:
    """Device and number of every input's file and of the links to it: none may be replaced."""
    found = set()
    for path in (photo.path for photo in inputs if photo.path is not None):
        for look in (os.stat, os.lstat):
            try:
                status = look(path)
            except (OSError, ValueError):
                continue
            found.add((status.st_dev, status.st_ino))
    return found
