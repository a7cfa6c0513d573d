"""Worker: one process of a job, which opens the model once and processes batches of photos."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from glpn.cluster.places import is_url, place_of, read
from glpn.depth.depth import Depth
from glpn.jobs import JobPhoto, JobSpec, Manifest, PhotoJob, PhotoResult, SharedEstimator

# What Ray transfers: columns of equal length, one row per photo.
Columns = dict[str, list[object]]


class Worker:
    """Processes batches of photos; the model is open before the first.

    Args:
        spec: what to do with each photo; `output` is a folder that all workers can access, or a
            URL.
    """

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec
        self._place = place_of(spec.output)
        self._name = secrets.token_hex(6)
        self._model = SharedEstimator(spec.engine, asked=spec.asked, uncertainty=spec.uncertainty)
        self._model.estimator()
        self._own: PhotoJob[None] | None = None
        if (folder := self._place.folder) is not None:
            self._own = self._job(folder, Manifest(folder, self._name).read())

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> Columns:
        """Process photos given as columns name, stem and image; return one result row for each."""
        rows = zip(batch["name"], batch["stem"], batch["image"], strict=True)
        with self._open() as job:
            results = [self._row(self._do(job, *map(str, row))) for row in rows]
        return {key: [row[key] for row in results] for key in results[0]}

    def _job(self, folder: Path, manifest: Manifest) -> PhotoJob[None]:
        return PhotoJob(self._spec, folder, self._model, report_nothing, manifest=manifest)

    @contextmanager
    def _open(self) -> Iterator[PhotoJob[None]]:
        """The job of one batch, in the destination itself or in a scratch folder."""
        if self._own is not None:
            yield self._own
            return
        with (
            tempfile.TemporaryDirectory(prefix="glpn-") as scratch,
            closing(Manifest(scratch, f"{self._name}-{secrets.token_hex(4)}")) as manifest,
        ):
            yield self._job(Path(scratch), manifest)
            if manifest.path.exists():
                self._place.put(manifest.path.name, manifest.path.read_bytes())

    def _do(self, job: PhotoJob[None], name: str, stem: str, image: str) -> PhotoResult[None]:
        photo = photo_at(name, stem, image)
        return job(photo) if self._own is not None else self._do_remotely(job, photo)

    def _do_remotely(self, job: PhotoJob[None], photo: JobPhoto) -> PhotoResult[None]:
        """Download the existing outputs of the photo, make the missing ones, and upload these."""
        targets = job.targets(photo).values()
        for path in targets:
            data = None if self._spec.overwrite else self._place.get(path.name)
            if data is not None:
                path.write_bytes(data)
        result = job(photo)
        for path in result.written.values():
            self._place.put(path.name, path.read_bytes())
        for path in targets:
            path.unlink(missing_ok=True)
        return result

    def _row(self, result: PhotoResult[None]) -> dict[str, object]:
        made = {**result.kept, **result.written}
        error = result.error
        return {
            "name": result.photo.name,
            "status": result.status,
            "files": [self._place.address(path.name) for path in made.values()],
            "error": "" if error is None else str(error),
            "kind": "" if error is None else type(error).__name__,
        }


def photo_at(name: str, stem: str, image: str) -> JobPhoto:
    """One photo of a job, by its path or URL."""
    return JobPhoto(name, image, partial(read if is_url(image) else Path, image), stem)


def report_nothing(
    photo: JobPhoto, depth: Depth, written: Mapping[str, Path], kept: Mapping[str, Path]
) -> None:
    """Return no report about a depth, because the files are enough."""
