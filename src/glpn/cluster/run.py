"""Sends photos to the workers and yields their results."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from glpn import files
from glpn.cluster.places import Place, location, place_of
from glpn.cluster.worker import Worker, photo_at, report_nothing
from glpn.errors import CannotCreateOutput, OutputFailed
from glpn.jobs import JobSpec, Manifest, PhotoJob, SharedEstimator, identities

MANIFESTS = "manifest*.jsonl"
_BATCH = 16  # photos sent to a worker at a time; a killed worker's batch is processed again


@dataclass(frozen=True)
class Result:
    """The result of one photo.

    Attributes:
        name: the photo's name in messages.
        status: "predicted", "kept" or "failed".
        files: paths or URLs.
        error: why it failed.
        kind: the name of the error's class in `glpn.errors`.
    """

    name: str
    status: str
    files: tuple[str, ...]
    error: str
    kind: str


def prepare(
    spec: JobSpec, photos: Sequence[tuple[str, str]]
) -> tuple[JobSpec, list[tuple[str, str, str]]]:
    """Check everything that can be checked before a worker starts.

    Args:
        spec: what to do with each photo.
        photos: (name, path or URL) of each.

    Returns:
        The specification with the engine that suits this machine and the number of photos, and
        (name, stem, path or URL) of each photo. Stems are those of existing outputs, or free ones.

    Raises:
        CannotCreateOutput: the destination is not writable, its outputs were made by another
            model or with other options, or an output would replace one of the photos.
        MissingInput, CheckpointError, ConfigError, ...: the model cannot be opened.
    """
    model = SharedEstimator(
        spec.engine, photos=len(photos), asked=spec.asked, uncertainty=spec.uncertainty
    )
    if not uses_gpu(spec):  # this machine may have none
        engine = model.estimator().engine.name
        spec = replace(spec, engine=replace(spec.engine, engine=engine))
    place = place_of(spec.output)
    with tempfile.TemporaryDirectory(prefix="glpn-") as scratch:
        if place.folder is not None:
            files.require_writable_folder(place.folder)
        else:
            _fetch_manifests(place, Path(scratch))
        folder = place.folder or Path(scratch)
        manifest = Manifest(folder).read()
        stems = manifest.stems([image for _, image in photos])
        named = [(name, stem, image) for (name, image), stem in zip(photos, stems, strict=True)]
        job = PhotoJob(spec, folder, model, report_nothing, manifest=manifest)
        _require_no_photo_replaced(job, place, named)
        job.require_same(photo_at(*photo) for photo in named)
    return spec, named


def _require_no_photo_replaced(
    job: PhotoJob[None], place: Place, photos: Sequence[tuple[str, str, str]]
) -> None:
    """Refuse outputs that would replace photos of the job, whatever may be overwritten.

    Raises:
        CannotCreateOutput: names the first such output.
    """
    names = [path.name for photo in photos for path in job.targets(photo_at(*photo)).values()]
    if place.folder is None:
        sources = {location(image) for _, _, image in photos}
        replaced = [name for name in names if location(place.address(name)) in sources]
    else:
        protected = identities(image for _, _, image in photos)
        paths = ((name, place.folder / name) for name in names)
        replaced = [name for name, path in paths if identities([str(path)]) & protected]
    for name in replaced:
        raise CannotCreateOutput(
            f"{place.address(name)}: is one of the photos; choose another DEST"
        )


def _fetch_manifests(place: Place, folder: Path) -> None:
    """Copy the manifests of a remote place, if it exists."""
    for name in place.names(recursive=False, missing_ok=True):
        data = place.get(name) if fnmatch(name, MANIFESTS) else None
        if data is not None:
            (folder / name).write_bytes(data)


def uses_gpu(spec: JobSpec) -> bool:
    """Whether each worker needs a GPU."""
    return spec.engine.device.startswith("cuda")


def run(
    spec: JobSpec, photos: Sequence[tuple[str, str, str]], *, workers: int | None = None
) -> Iterator[Result]:
    """Run a job in the current `session`; every photo has exactly one result, in any order.

    A worker that dies is replaced and its photos are processed again; outputs that it had
    finished are kept.

    Args:
        spec: what to do with each photo. Each worker uses the CPUs of `spec.engine.threads`, and a
            GPU if its device is one.
        photos: (name, stem, path or URL) of each.
        workers: maximum number of workers; None means as many as fit into the cluster.

    Raises:
        OutputFailed: Ray failed. Finished outputs remain, and the next run resumes.
    """
    import ray
    from ray.data import ActorPoolStrategy, DataContext
    from ray.exceptions import RayError

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    DataContext.get_current().enable_progress_bars = False
    threads = spec.engine.threads or 1
    gpus = int(uses_gpu(spec))
    blocks = math.ceil(len(photos) / _BATCH)
    resources: Mapping[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    room = int(resources.get("CPU", threads) // threads)
    most = workers if workers is not None else max(room, blocks)
    rows = [{"name": name, "stem": stem, "image": image} for name, stem, image in photos]
    outcomes = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        Worker,
        fn_constructor_args=(spec,),
        batch_size=None,
        num_cpus=threads,
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
        raise OutputFailed(f"Ray failed: {e}") from e
