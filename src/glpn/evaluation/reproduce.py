"""Measures the paper's figures again on the available datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from glpn.data.frames import plural
from glpn.engines.options import EngineOptions
from glpn.errors import GLPNError, MissingInput
from glpn.evaluation.metrics import METRIC_NAMES
from glpn.evaluation.published import PAPER, PublishedSet
from glpn.evaluation.result import Result, ends, heading, interval_json
from glpn.evaluation.scoring import Evaluation, Model, Selection, score, set_of

_CHECK = "†"  # marks figures that were not checked against the paper

Say = Callable[[str], None]
Progress = Callable[[int], AbstractContextManager[Callable[[], None]]]


@dataclass
class Run:
    """The datasets measured so far, and the reasons for those left out.

    Attributes:
        folders: dataset → its folder.
        model: the model for all datasets; empty for the published checkpoints.
        max_depth: the range of that model, if its own value is wrong.
        common: options for every model.
        limit: the largest number of frames per dataset.
        say: called with one line on each dataset when it is measured or left out.
        progress: takes the number of frames and returns a context manager. That yields a function
            to call after each frame.
    """

    folders: Mapping[str, Path]
    model: str
    max_depth: float | None
    common: EngineOptions
    limit: int | None
    say: Say
    progress: Progress
    measured: list[tuple[PublishedSet, Result]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    failures: list[GLPNError] = field(default_factory=list)
    _models: dict[tuple[str, float | None], Model] = field(default_factory=dict)

    def measure(self, one: PublishedSet) -> None:
        """Measure one dataset or record the reason why not; a failure does not stop the others."""
        try:
            selection = self._selection(one)
        except MissingInput as e:
            self._leave_out(one, str(e))
            return
        try:
            self._score(one, selection)
        except GLPNError as e:
            self.failures.append(e)
            self._leave_out(one, str(e))

    def _selection(self, one: PublishedSet) -> Selection:
        """Select the dataset's test frames.

        Raises:
            MissingInput: the folder, or the list of the test frames, is missing.
        """
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

    def _score(self, one: PublishedSet, selection: Selection) -> None:
        evaluation = Evaluation.of(selection)
        self.say(evaluation.frames.notes[0])
        model = self._model(one)
        reach, needed = model.max_depth, evaluation.protocol.max_depth
        if reach < needed / 2:
            why = f"{model.settings['model']} reaches {reach:g} m, the set {needed:g} m"
            self._leave_out(one, why)
            return
        with self.progress(len(evaluation.frames)) as advance:
            self.measured.append((one, score(evaluation, model, advance=advance)))

    def _model(self, one: PublishedSet) -> Model:
        own = (one.weights, one.max_depth)
        name, max_depth = (self.model, self.max_depth) if self.model else own
        if (name, max_depth) not in self._models:
            options = replace(self.common, model=name, max_depth=max_depth)
            self._models[name, max_depth] = Model.load(options)
        return self._models[name, max_depth]

    def _leave_out(self, one: PublishedSet, why: str) -> None:
        self.missing[one.dataset] = f"{one.dataset}: {why}"
        self.say(f"not measured: {one.dataset}: {why}")

    def to_markdown(self) -> str:
        """Return a table of published and measured figures, then missing datasets and caveats."""
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

    def record(self) -> dict[str, object]:
        """Return the same content as JSON values."""
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
        return plural(count, "image")
    return f"{plural(count, 'image')} where the paper has {one.images}: not the same test"


def find(data: Path) -> dict[str, Path]:
    """Return the recognised subfolders of `data` by dataset; if there are none, `data` itself.

    Raises:
        MissingInput: the folder does not exist.
    """
    if not data.is_dir():
        raise MissingInput(f"{data}: no such folder")
    names = [one.dataset for one in PAPER]
    # If several folders have one layout, the folder with the dataset's own name wins.
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
