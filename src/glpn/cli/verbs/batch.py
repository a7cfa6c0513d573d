"""`glpn batch`: a job over many machines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, inputs, options
from glpn.errors import GLPNError, MissingInput, UsageError, worst

if TYPE_CHECKING:
    from glpn.cluster import Result
    from glpn.jobs import JobSpec

_CLUSTER = "Cluster"
_MAX_SHOWN = 20  # errors printed one by one; later ones are only counted

_Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Folder or URL of photos: s3://…, gs://…, …")
]
_Destination = Annotated[
    str, typer.Argument(metavar="DEST", help="Folder or URL for the files, created if needed.")
]
_Ray = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="local starts Ray on this machine; auto, HOST:PORT or ray://HOST:PORT joins a "
        "running cluster.",
        rich_help_panel=_CLUSTER,
    ),
]
_Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Maximum number of workers. Default: as many as the cluster has room for.",
        show_default=False,
        rich_help_panel=_CLUSTER,
    ),
]
_Threads = Annotated[
    int,
    typer.Option(
        min=1,
        max=options.MAX_THREADS,
        help="CPU threads of each worker.",
        rich_help_panel=_CLUSTER,
    ),
]


@dataclass(frozen=True)
class _ModelGroup(options.Float32ModelGroup):
    device: options.Device = "cpu"
    threads: _Threads = 1


@options.grouped
def batch(
    source: _Source,
    destination: _Destination,
    *,
    ray: _Ray = "local",
    workers: _Workers = None,
    model: _ModelGroup,
    files: options.FormatGroup,
    camera: options.CameraGroup,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    printed: options.Printed,
) -> None:
    """Estimate the depth of a folder of photos on many machines, with Ray.

    Writes the same files as glpn predict with the same formats, under the same names. The same
    command resumes an interrupted job, and a worker that dies loses nothing.

    Examples:

      glpn batch photos depth
      glpn batch s3://photos/2026 s3://depth/2026 --ray ray://head:10001
    """
    from glpn.jobs import EstimatorCall, JobSpec

    if model.device == "auto":
        raise UsageError("--device: expected cpu or cuda, which every worker has; got auto")
    given = inputs.camera(camera)
    spec = JobSpec(
        engine=model.engine_options(),
        output=_absolute(destination),
        formats=files.writers(),
        call=EstimatorCall(focal=given["focal"], fov=given["fov"], camera=given["camera"]),
        changes=given,
        overwrite=overwrite,
    )
    if not spec.formats:
        raise UsageError("--format: expected at least one format, got none")
    photos, failures = _photos(source, recursive=recursive)
    tally = Tally(as_json=printed.as_json, quiet=printed.quiet)
    for name, error in failures:
        tally.failed(name, str(error), error.exit_code)
    if photos:
        _run(spec, photos, tally, address=ray, workers=workers)
    tally.summarise(spec.output)
    raise typer.Exit(worst(tally.codes))


def _run(
    spec: JobSpec,
    photos: Sequence[tuple[str, str]],
    tally: Tally,
    *,
    address: str,
    workers: int | None,
) -> None:
    from glpn import cluster
    from glpn.engines.hardware import usable_cores

    spec, named = cluster.prepare(spec, photos)
    threads = spec.engine.threads or 1
    cpus = (workers or max(1, usable_cores() // threads)) * threads
    with (
        cluster.session(address, cpus=cpus),
        console.progress(len(named), quiet=tally.quiet or tally.as_json, unit="photos") as step,
    ):
        for result in cluster.run(spec, named, workers=workers):
            tally.add(result)
            step()


class Tally:
    """Counts and prints the results."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.counts: Counter[str] = Counter()
        self.codes: list[int] = []

    def add(self, result: Result) -> None:
        """Count and print one result.

        Raises:
            OutputFailed, MissingDependency: every other photo would fail for the same reason.
        """
        from glpn import errors, jobs

        if result.error:
            error: type[GLPNError] = getattr(errors, result.kind)
            if issubclass(error, jobs.FATAL_ERRORS):
                raise error(result.error)
            self.failed(result.name, result.error, error.exit_code)
            return
        self.counts[result.status] += 1
        if self.as_json:
            record = {"image": result.name, "status": result.status, "files": list(result.files)}
            console.print_json(record)

    def failed(self, name: str, message: str, code: int) -> None:
        """Count and print one failure."""
        self.counts["failed"] += 1
        self.codes.append(code)
        if len(self.codes) <= _MAX_SHOWN:
            console.error(message if message.startswith(name) else f"{name}: {message}")
        if self.as_json:
            record = {"image": name, "status": "failed", "error": message, "code": code}
            console.print_json(record)

    def summarise(self, destination: str) -> None:
        """Print one line of counts."""
        if len(self.codes) > _MAX_SHOWN:
            console.note(f"{len(self.codes) - _MAX_SHOWN} more errors; --json prints all")
        if not (self.quiet or self.as_json):
            counts = ", ".join(f"{number} {what}" for what, number in self.counts.items())
            console.print_line(
                console.escaped(f"{counts or 'nothing'}; files are in {destination}")
            )


def _absolute(destination: str) -> str:
    """Make the destination an absolute path: workers may have another working directory."""
    from glpn.cluster import place_of

    place = place_of(destination)
    return place.url if place.folder is None else os.path.abspath(place.folder)


def _photos(
    source: str, *, recursive: bool
) -> tuple[list[tuple[str, str]], Iterable[tuple[str, GLPNError]]]:
    """Return (name, path or URL) of every photo, and (name, error) of every missing one."""
    from glpn.cluster import place_of

    place = place_of(source)
    if place.folder is not None:
        found = inputs.gather([str(place.folder)], recursive=recursive)
        return [(photo.name, photo.image) for photo in found.photos], found.failures
    names = [
        name
        for name in place.names(recursive=recursive)
        if name.lower().endswith(inputs.SUFFIXES) and not name.rpartition("/")[2].startswith(".")
    ]
    if not names:
        raise MissingInput(f"{source}: no {', '.join(inputs.SUFFIXES)} there")
    return [(place.address(name), place.address(name)) for name in names], []
