"""A batch of photographs: naming their outputs, doing them side by side, telling what came of it.

One photograph that fails never stops the others. Only what no other would escape ends the batch:
a full disk, a package that is missing. How one photograph is done is in `glpn.jobs`.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from glpn import files, jobs
from glpn.cli import console
from glpn.cli.answers import Answer, Questions
from glpn.cli.inputs import Input
from glpn.concurrency import map_ordered
from glpn.depth.depth import Depth
from glpn.errors import GLPNError, worst
from glpn.jobs.memory import keep_large_blocks

_PREDICTED, _KEPT, _FAILED, _NOT_TRIED = _OUTCOMES = ("predicted", "kept", "failed", "not tried")
_SPARE = 2  # threads that read and write while others predict


@dataclass(frozen=True)
class Request:
    """What is wanted of every photograph.

    Attributes:
        model: options of `glpn.load`, `model` itself among them.
        output: the folder for files.
        formats: keys of `glpn.files.FORMATS`, perhaps none.
        options: of a format's encoder, for those formats that have some.
        call: keyword arguments of `DepthEstimator`'s call.
        asked: what of all that changes the metres, as text.
        questions: places to be measured.
        shard: the share of the photographs that is this run's; None: all.
        sheet: where a contact sheet goes; None: nowhere.
        as_job: keep a manifest, from which a run that was stopped goes on.
        overwrite: replace files that are there.
        as_json: answer in JSON.
        quiet: answer in JSON or not at all.
    """

    model: Mapping[str, Any]
    output: Path
    formats: Sequence[str]
    options: Mapping[str, Mapping[str, Any]]
    questions: Questions
    call: Mapping[str, Any] = field(default_factory=dict)
    asked: str = ""
    shard: jobs.Shard | None = None
    sheet: Path | None = None
    as_job: bool = False
    overwrite: bool = False
    as_json: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Said:
    """What is printed of one depth: a line or a record, whichever is asked for."""

    line: str
    record: Mapping[str, Any]


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
            CannotCreateOutput: nothing can be written into the folder, or what is there was made
                by another model; nothing was predicted.
            MissingInput, CheckpointError, ConfigError, ...: the model cannot be opened.
            UsageError: it cannot tell the uncertainty.
        """
        for name, error in failures:
            self._failed(name, error)
        name = self.request.shard.manifest if self.request.shard else ""
        with closing(jobs.Manifest(self.request.output, name)) as manifest:
            if self.request.formats:
                manifest.read()
            pictures = self._pictures(inputs, manifest)
            if pictures:
                self._do_all(pictures, inputs, manifest)
        self._summarise(len(pictures))
        return worst(self.codes)

    def _pictures(self, inputs: Sequence[Input], manifest: jobs.Manifest) -> list[jobs.Picture]:
        """The photographs of this run, each with the name that its outputs have or get."""
        shard = self.request.shard
        return [
            jobs.Picture(photo.name, stem, photo.image, partial(getattr, photo, "source"))
            for photo, stem in zip(inputs, manifest.stems([i.image for i in inputs]), strict=True)
            if shard is None or shard.holds(stem)
        ]

    def _do_all(
        self,
        pictures: Sequence[jobs.Picture],
        inputs: Sequence[Input],
        manifest: jobs.Manifest,
    ) -> None:
        request = self.request
        order = jobs.Order(
            folder=request.output,
            formats={format: request.options.get(format, {}) for format in request.formats},
            call=request.call,
            asked=request.asked,
            overwrite=request.overwrite,
            protected=frozenset(_identities(inputs)),
        )
        if request.sheet is not None:
            from glpn.jobs.sheet import require_sheet

            require_sheet(request.sheet, order)
        targets = (order.target(picture, f) for picture in pictures for f in order.formats)
        if any(request.overwrite or not os.path.lexists(target) for target in targets):
            files.require_writable_folder(request.output)
        model = jobs.Opened(
            request.model,
            asked=request.asked,
            photographs=len(inputs),  # of all shards, so that they choose the same engine
            uncertainty=request.call.get("uncertainty"),
        )
        notes = manifest if request.formats and (request.as_job or len(manifest)) else None
        work = jobs.Work(order, model, self._say, manifest=notes, always=bool(request.questions))
        work.require_same(pictures)
        threads = 0
        if len(pictures) > 1:
            threads = model.lanes + _SPARE
            keep_large_blocks()
        with (
            console.progress(len(pictures), quiet=request.quiet, unit="photos") as advance,
            closing(map_ordered(work, pictures, threads=threads)) as outcomes,
        ):
            for done, outcome in enumerate(outcomes, 1):
                self._tell(outcome)
                advance()
                if isinstance(outcome.error, jobs.FATAL):
                    self.counts[_NOT_TRIED] = len(pictures) - done
                    return
        if request.sheet is not None:
            self._show(request.sheet, pictures, order)

    def _show(self, sheet: Path, pictures: Sequence[jobs.Picture], order: jobs.Order) -> None:
        from glpn.jobs.sheet import write_sheet

        shown = write_sheet(sheet, pictures, order)
        if not self.request.quiet:
            console.note(console.escaped(f"{sheet}: shows {shown} of {len(pictures)}"))

    def _say(
        self,
        picture: jobs.Picture,
        depth: Depth,
        written: Mapping[str, Path],
        kept: Mapping[str, Path],
    ) -> Said:
        answer = Answer(picture.name, depth, self.request.questions.ask(depth), written, kept)
        if self.request.as_json:
            return Said("", answer.record())
        return Said("" if self.request.quiet else answer.line(), {})

    def _tell(self, outcome: jobs.Outcome[Said]) -> None:
        if outcome.error is not None:
            self._failed(outcome.picture.name, outcome.error)
            return
        self.counts[outcome.status] += 1
        if outcome.said is not None:
            self._answer(outcome.said)
        else:
            names = {format: str(path) for format, path in outcome.kept.items()}
            line = f"{outcome.picture.name}: there already: {', '.join(names.values())}"
            record = {"image": outcome.picture.name, "status": _KEPT, "files": names}
            self._answer(Said(line, record))

    def _failed(self, name: str, error: GLPNError) -> None:
        self.counts[_FAILED] += 1
        self.codes.append(error.exit_code)
        shown, message = console.escaped(name), console.escaped(error)
        message = message if message.startswith(shown) else f"{shown}: {message}"
        console.complain(message)
        if self.request.as_json:
            code = error.exit_code
            console.say_json({"image": name, "status": _FAILED, "error": message, "code": code})

    def _answer(self, said: Said) -> None:
        if self.request.as_json:
            console.say_json(said.record)
        elif not self.request.quiet:
            console.say(console.escaped(said.line))

    def _summarise(self, photographs: int) -> None:
        """Counts, wherever the lines of single photographs do not say it all."""
        kept = self.counts[_KEPT]
        alone = photographs < 2 and not kept and self.request.shard is None
        if self.request.quiet or alone:
            return
        told = (f"{self.counts[what]} {what}" for what in _OUTCOMES if self.counts[what])
        counts = ", ".join(told) or "no photograph is in this share"
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
