"""Run: pictures out to the workers, what became of them back."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from glpn import files
from glpn.cluster.places import Place, place_of
from glpn.cluster.worker import Job, Worker, picture_of
from glpn.errors import OutputFailed
from glpn.jobs import Manifest, Opened

MANIFESTS = "manifest*.jsonl"
_BATCH = 16  # pictures that a worker is sent at a time: what a killed one must look at again


@dataclass(frozen=True)
class Result:
    """What became of one picture.

    Attributes:
        name: of the photograph, as messages say it.
        status: of `glpn.jobs.work`: "predicted", "kept" or "failed".
        files: paths or URLs.
        error: why it failed, and
        kind: the name of that error's class in `glpn.errors`.
    """

    name: str
    status: str
    files: tuple[str, ...]
    error: str
    kind: str


def prepare(
    job: Job, photographs: Sequence[tuple[str, str]]
) -> tuple[Job, list[tuple[str, str, str]]]:
    """Find what can be known before any worker starts; (name, path or URL) → (name, stem, same).

    The job that comes back names its engine: the one that suits this machine and so many
    photographs. Stems are those of outputs that are there already, or free ones.

    Raises:
        CannotCreateOutput: nothing can be written there, or what is there was made by another
            model or with other options.
        MissingInput, CheckpointError, ConfigError, ...: the model cannot be opened.
    """
    options = {"photos": len(photographs), **job.model}
    model = Opened(options, asked=job.asked, uncertainty=job.call.get("uncertainty"))
    if not uses_gpu(job):  # this machine need not have one
        engine = model.estimator().engine.name
        job = replace(job, model={**job.model, "engine": engine})
    place = place_of(job.destination)
    with tempfile.TemporaryDirectory(prefix="glpn-") as scratch:
        if place.folder is not None:
            files.require_writable_folder(place.folder)
        else:
            _fetch_manifests(place, Path(scratch))
        folder = place.folder or Path(scratch)
        manifest = Manifest(folder).read()
        stems = manifest.stems([image for _, image in photographs])
        pictures = [
            (name, stem, image) for (name, image), stem in zip(photographs, stems, strict=True)
        ]
        job.work(folder, model, manifest).require_same(picture_of(*p) for p in pictures)
    return job, pictures


def _fetch_manifests(place: Place, folder: Path) -> None:
    """Copy the manifests of a remote place; none where it does not exist yet."""
    for name in place.names(recursive=False, missing_ok=True):
        data = place.get(name) if fnmatch(name, MANIFESTS) else None
        if data is not None:
            (folder / name).write_bytes(data)


def uses_gpu(job: Job) -> bool:
    """Whether each worker needs a GPU."""
    return str(job.model.get("device", "")).startswith("cuda")


def run(
    job: Job, pictures: Sequence[tuple[str, str, str]], *, workers: int | None = None
) -> Iterator[Result]:
    """Do a job in the current `session`; every picture has exactly one result, in any order.

    A worker that dies is replaced, and its pictures are done again: what it had finished is found
    and kept.

    Args:
        job: what is wanted. Each worker takes the CPUs of the model's option `threads`, and a GPU
            where its device is one.
        pictures: (name, stem, path or URL) each.
        workers: at most so many; as many as the cluster has room for if None.

    Raises:
        OutputFailed: Ray gave up; what is finished stays, and the next run goes on.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayError

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext.get_current().enable_progress_bars = False
    gpus = int(uses_gpu(job))
    blocks = math.ceil(len(pictures) / _BATCH)
    resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = int(resources.get("CPU", job.threads) // job.threads)
    most = workers if workers is not None else max(room, blocks)
    rows = [{"name": name, "stem": stem, "image": image} for name, stem, image in pictures]
    outcomes = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        Worker,
        fn_constructor_args=(job,),
        batch_size=None,
        num_cpus=job.threads,
        num_gpus=gpus,
        compute=ActorPoolStrategy(
            min_size=1, max_size=most, initial_size=max(1, min(most, room, blocks))
        ),
    )
    try:
        for row in outcomes.iter_rows():
            row["files"] = tuple(row["files"])
            yield Result(**row)
    except RayError as e:
        raise OutputFailed(f"Ray gave up: {e}") from e
