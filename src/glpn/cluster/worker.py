"""Worker: one process of a job, which opens the model once and does the pictures it is sent."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from glpn.cluster.places import is_url, place_of, read
from glpn.depth.depth import Depth
from glpn.errors import CannotCreateOutput
from glpn.jobs import Manifest, Opened, Order, Outcome, Picture, Work

# What Ray carries: columns of one kind, each as long as the batch.
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Job:
    """What is wanted of every photograph; travels to every worker.

    Attributes:
        model: options of `glpn.load`, `model` itself among them.
        destination: a folder that all workers see, or a URL.
        formats: key of `glpn.files.FORMATS` → options of its encoder.
        call: keyword arguments of the estimator's call.
        asked: what of all that changes the metres, as text.
        overwrite: replace files that are there.
        protected: as `Order`'s.
    """

    model: Mapping[str, Any]
    destination: str
    formats: Mapping[str, Mapping[str, Any]]
    call: Mapping[str, Any] = field(default_factory=dict)
    asked: str = ""
    overwrite: bool = False
    protected: frozenset[tuple[int, int]] = frozenset()

    @property
    def threads(self) -> int:
        """CPU threads of each worker."""
        return int(self.model.get("threads") or 1)

    def work(self, folder: Path, model: Opened, manifest: Manifest) -> Work[None]:
        """What does one picture at a time, into a folder."""
        order = Order(
            folder=folder,
            formats=self.formats,
            call=self.call,
            asked=self.asked,
            overwrite=self.overwrite,
            protected=self.protected,
        )
        return Work(order, model, _say_nothing, manifest=manifest)


class Worker:
    """Does batches of pictures; the model is open before the first.

    Args:
        job: what is wanted.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._place = place_of(job.destination)
        self._name = secrets.token_hex(6)
        self._model = Opened(job.model, asked=job.asked)
        self._model.estimator()
        self._own: Work[None] | None = None
        if (folder := self._place.folder) is not None:
            self._own = job.work(folder, self._model, Manifest(folder, self._name).read())

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> Columns:
        """Do the pictures of the columns name, stem and image; one row of answers for each."""
        rows = zip(batch["name"], batch["stem"], batch["image"], strict=True)
        with self._work() as work:
            answers = [self._answer(self._do(work, *map(str, row))) for row in rows]
        return {key: [answer[key] for answer in answers] for key in answers[0]}

    @contextmanager
    def _work(self) -> Iterator[Work[None]]:
        """The work of one batch, in the destination itself or in a scratch folder."""
        if self._own is not None:
            yield self._own
            return
        with (
            tempfile.TemporaryDirectory(prefix="glpn-") as scratch,
            closing(Manifest(scratch, f"{self._name}-{secrets.token_hex(4)}")) as manifest,
        ):
            yield self._job.work(Path(scratch), self._model, manifest)
            if manifest.path.exists():
                self._place.put(manifest.path.name, manifest.path.read_bytes())

    def _do(self, work: Work[None], name: str, stem: str, image: str) -> Outcome[None]:
        picture = picture_of(name, stem, image)
        if self._own is None:
            return self._do_far_away(work, picture)
        outcome = work(picture)
        if isinstance(outcome.error, CannotCreateOutput):
            # A worker that was given up for lost may have finished the same picture meanwhile.
            outcome = work(picture)
        return outcome

    def _do_far_away(self, work: Work[None], picture: Picture) -> Outcome[None]:
        """Fetch what is there of the picture, do what is not, and put that where it belongs."""
        targets = [work.order.target(picture, format) for format in work.order.formats]
        for path in targets:
            data = None if self._job.overwrite else self._place.get(path.name)
            if data is not None:
                path.write_bytes(data)
        outcome = work(picture)
        for path in outcome.written.values():
            self._place.put(path.name, path.read_bytes())
        for path in targets:
            path.unlink(missing_ok=True)
        return outcome

    def _answer(self, outcome: Outcome[None]) -> dict[str, Any]:
        made = {**outcome.kept, **outcome.written}
        error = outcome.error
        return {
            "name": outcome.picture.name,
            "status": outcome.status,
            "files": [self._place.address(path.name) for path in made.values()],
            "error": "" if error is None else str(error),
            "kind": "" if error is None else type(error).__name__,
        }


def picture_of(name: str, stem: str, image: str) -> Picture:
    """One photograph of a job, by its path or URL."""
    return Picture(name, stem, image, partial(read if is_url(image) else Path, image))


def _say_nothing(
    picture: Picture, depth: Depth, written: Mapping[str, Path], kept: Mapping[str, Path]
) -> None:
    """What is to be said of a depth: the files say it."""
