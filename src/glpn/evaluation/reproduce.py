"""`glpn reproduce paper`: the paper's figures, and the same measured here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glpn.cli import console, options
from glpn.cli import evaluate_options as asked
from glpn.errors import GLPNError, MissingInput

if TYPE_CHECKING:
    from glpn.cli.scoring import Model, Selection
    from glpn.evaluation.published import PublishedSet
    from glpn.evaluation.result import Result

_TABLE = "paper.md"
_CHECK = "†"  # beside figures that were not confirmed


class Work(str, Enum):
    """What is reproduced."""

    paper = "paper"


_Work = Annotated[
    Work, typer.Argument(metavar="paper", help="Whose figures: those of the GLPN paper.")
]
_Data = Annotated[
    Path,
    typer.Option(
        metavar="DIR", help="Folder that holds some of nyu/, kitti/, sunrgbd/, ibims/; or one set."
    ),
]
_Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A model for all sets within its range; the published checkpoints if not given.",
        show_default=False,
        rich_help_panel=options.MODEL,
    ),
]


def reproduce(
    _work: _Work,
    data: _Data,
    model: _Model = "",
    output: asked.Output = None,
    limit: asked.Limit = None,
    overwrite: asked.Overwrite = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    max_depth: options.MaxDepth = None,
    engine: options.Engine = options.EngineName.auto,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Measure what the paper measured, on the sets that are there, beside its figures.

    Sets are recognised by their files; what is missing is said by name.

    Examples:

      glpn reproduce paper --data datasets
      glpn reproduce paper --data datasets -m MODEL -o results
    """
    from glpn.cli.batch import worst
    from glpn.cli.scoring import require_free, say_markdown, write
    from glpn.evaluation.published import PAPER

    if output is not None:
        names = (_TABLE, *(f"{s.dataset}.json" for s in PAPER))
        require_free(output, names, overwrite=overwrite)
    common = {"engine": engine.value, "device": device, "threads": threads}
    run = Run(folders=_find(data), model=model, max_depth=max_depth, common=common, limit=limit)
    for one in PAPER:
        run.measure(one, quiet=quiet)
    table = run.to_markdown()
    if as_json:
        console.say_json(run.record())
    elif not quiet:
        say_markdown(table)
    if output is not None:
        results = {f"{one.dataset}.json": r.to_json() for one, r in run.measured}
        write(output, {_TABLE: table, **results}, quiet=quiet)
    if not run.measured and not run.failures:
        raise MissingInput(f"{data}: none of the paper's sets; " + "; ".join(run.missing.values()))
    raise typer.Exit(worst(error.exit_code for error in run.failures))


@dataclass
class Run:
    """The sets measured so far, and why others were not.

    Attributes:
        folders: set → where it lies.
        model: for all sets; empty for the published checkpoints.
        max_depth: the range of that model, where its own figure is wrong.
        common: options of `glpn.load` alike for all models.
        limit: at most so many frames of each set.
    """

    folders: Mapping[str, Path]
    model: str
    max_depth: float | None
    common: Mapping[str, Any]
    limit: int | None
    measured: list[tuple[PublishedSet, Result]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    failures: list[GLPNError] = field(default_factory=list)
    _models: dict[tuple[str, float | None], Model] = field(default_factory=dict)

    def measure(self, one: PublishedSet, *, quiet: bool) -> None:
        """Measure one set, or note why not; a failure does not stop the others."""
        try:
            selection = self._selection(one)
        except MissingInput as e:
            self._leave_out(one, str(e), quiet=quiet)
            return
        try:
            self._score(one, selection, quiet=quiet)
        except GLPNError as e:
            self.failures.append(e)
            self._leave_out(one, str(e), quiet=quiet)

    def _selection(self, one: PublishedSet) -> Selection:
        """The set's test frames.

        Raises:
            MissingInput: the folder is not there, or not the list that tells them.
        """
        from glpn.cli.scoring import Selection

        folder = self.folders.get(one.dataset)
        if folder is None:
            raise MissingInput("no folder is recognised as this set")
        lists = [folder / name for name in one.lists if (folder / name).is_file()]
        if one.needs_list and not lists:
            raise MissingInput(f"{folder}: no list of the test frames ({' or '.join(one.lists)})")
        places = [folder / place for place in one.places if (folder / place).is_dir()]
        return Selection(
            data=places[0] if places else folder,
            dataset=one.dataset,
            frame_list=lists[0] if lists else None,
            limit=self.limit,
        )

    def _score(self, one: PublishedSet, selection: Selection, *, quiet: bool) -> None:
        from glpn.cli.scoring import Evaluation, score

        evaluation = Evaluation.of(selection)
        if not quiet:
            console.note(console.escaped(evaluation.frames.notes[0]))
        model = self._model(one)
        reach, needed = model.settings["max_depth"], evaluation.protocol.max_depth
        if reach < needed / 2:
            why = f"{model.settings['model']} reaches {reach:g} m, the set {needed:g} m"
            self._leave_out(one, why, quiet=quiet)
            return
        self.measured.append((one, score(evaluation, model, quiet=quiet)))

    def _model(self, one: PublishedSet) -> Model:
        from glpn.cli.scoring import Model

        own = (one.weights, one.max_depth)
        name, max_depth = (self.model, self.max_depth) if self.model else own
        if (name, max_depth) not in self._models:
            options = {"model": name, "max_depth": max_depth, **self.common}
            self._models[name, max_depth] = Model.load(options)
        return self._models[name, max_depth]

    def _leave_out(self, one: PublishedSet, why: str, *, quiet: bool) -> None:
        self.missing[one.dataset] = f"{one.dataset}: {why}"
        if not quiet:
            console.note(console.escaped(f"not measured: {one.dataset}: {why}"))

    def to_markdown(self) -> str:
        """Published beside measured, and below it what is missing and what to beware of."""
        from glpn.evaluation.metrics import METRIC_NAMES
        from glpn.evaluation.result import ends, heading

        lines = ["| set | metric | published | measured | 95 % interval |", "|---|---|---|---|---|"]
        for one, result in self.measured:
            for metric in METRIC_NAMES:
                known = one.metrics.get(metric)
                mark = "" if one.confirmed else f" {_CHECK}"
                published = "–" if known is None else f"{known:g}{mark}"
                mean = result.means[metric]
                cells = (one.dataset, heading(metric), published, f"{mean.value:.4f}", ends(mean))
                lines.append(f"| {' | '.join(cells)} |")
        lines += ["", f"{_CHECK} not checked against the paper: do so before quoting.", ""]
        for one, result in self.measured:
            lines += [f"{one.title}: {_images(one, result)}  ", *result.describe(), ""]
        lines += [f"Not measured: {why}  " for why in self.missing.values()]
        return "\n".join(lines).rstrip() + "\n"

    def record(self) -> dict[str, Any]:
        """The same as JSON values."""
        from glpn.evaluation.result import interval_json

        return {
            "measured": {
                one.dataset: {
                    "images": len(result.rows),
                    "images_published": one.images,
                    "published": dict(one.metrics),
                    "confirmed": one.confirmed,
                    "means": {name: interval_json(i) for name, i in result.means.items()},
                    "protocol": result.protocol.hash(),
                    "settings": dict(result.settings),
                }
                for one, result in self.measured
            },
            "missing": dict(self.missing),
        }


def _images(one: PublishedSet, result: Result) -> str:
    count = len(result.rows)
    if one.images in (None, count):
        return f"{count} images"
    return f"{count} images where the paper has {one.images}: not the same test"


def _find(data: Path) -> dict[str, Path]:
    """Set → folder: those below `data` that are recognised; `data` itself if none is.

    Raises:
        MissingInput: there is no such folder.
    """
    from glpn.cli.scoring import set_of
    from glpn.evaluation.published import PAPER

    if not data.is_dir():
        raise MissingInput(f"{data}: no such folder")
    names = [one.dataset for one in PAPER]
    # A folder with a set's own name comes before another of the same layout.
    inner = sorted(
        (path for path in data.iterdir() if path.is_dir()),
        key=lambda path: (path.name not in names, path.name),
    )
    found: dict[str, Path] = {}
    for folder in inner:
        name = set_of(folder)
        if name in names:
            found.setdefault(name, folder)
    whole = set_of(data) if not found else None
    return {whole: data} if whole in names else found
