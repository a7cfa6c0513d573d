"""`glpn batch`: a job over many machines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glpn.cli import console, formats, lens, options
from glpn.cli.numbers import positive
from glpn.errors import GLPNError, MissingInput, UsageError

if TYPE_CHECKING:
    from glpn.cluster import Job, Result

_CLUSTER = "Cluster"
_MAX_SHOWN = 20  # errors that are printed one by one

_Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="Folder or URL of photographs: s3://…, gs://…, …")
]
_Destination = Annotated[
    str, typer.Argument(metavar="DEST", help="Folder or URL for the files; made if need be.")
]
_Ray = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="local starts Ray here for this job; auto, HOST:PORT or ray://HOST:PORT joins one.",
        rich_help_panel=_CLUSTER,
    ),
]
_Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="At most so many; all that the cluster has room for if not given.",
        show_default=False,
        rich_help_panel=_CLUSTER,
    ),
]
_Threads = Annotated[
    int, typer.Option(min=1, help="CPU threads of each worker.", rich_help_panel=_CLUSTER)
]


def batch(
    source: _Source,
    destination: _Destination,
    ray: _Ray = "local",
    workers: _Workers = None,
    threads: _Threads = 1,
    model: options.Model = "",
    format: options.Formats = "png16",
    colormap: options.Colormap = "inferno",
    scale: options.Scale = 1000,
    focal: options.Focal = None,
    fov: options.Fov = None,
    intrinsics: options.Intrinsics = None,
    max_depth: options.MaxDepth = None,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    engine: options.Engine = options.EngineName.auto,
    device: options.Device = "cpu",
) -> None:
    """Estimate the depth of a folder of photographs on many machines, with Ray.

    Writes what glpn predict writes, under the same names. Run the same line again, and it goes on
    where it was ended; a worker that dies loses nothing.

    Examples:

      glpn batch photos depth
      glpn batch s3://photos/2026 s3://depth/2026 --ray ray://head:10001
    """
    from glpn import cluster
    from glpn.engines.options import DEFAULT_MODEL
    from glpn.errors import worst
    from glpn.jobs.origin import asked

    if device == "auto":
        raise UsageError("--device: workers must be told: cpu or cuda")
    camera = lens.camera(focal=focal, fov=fov, intrinsics=intrinsics)
    job = cluster.Job(
        model={
            "model": model or DEFAULT_MODEL,
            "engine": engine.value,
            "device": device,
            "threads": threads,
            "max_depth": positive("--max-depth", max_depth),
        },
        destination=_absolute(destination),
        formats=_formats(format, formats.encoders(colormap=colormap, scale=scale)),
        call=camera,
        asked=asked({"max-depth": max_depth, **camera}),
        overwrite=overwrite,
    )
    photographs, failures = _photographs(source, recursive=recursive)
    tally = Tally(as_json=as_json, quiet=quiet)
    for name, error in failures:
        tally.failed(name, str(error), error.exit_code)
    if photographs:
        _run(job, photographs, tally, address=ray, workers=workers)
    tally.summarise(job.destination)
    raise typer.Exit(worst(tally.codes))


def _formats(text: str, encoders: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The formats that --format asks for, each with the options of its encoder.

    Raises:
        UsageError: one is unknown, or there is none.
    """
    wanted = formats.names(text, uncertain=False)
    if not wanted:
        raise UsageError("--format: a job without files is none")
    return {name: encoders.get(name, {}) for name in wanted}


def _run(
    job: Job,
    photographs: Sequence[tuple[str, str]],
    tally: Tally,
    *,
    address: str,
    workers: int | None,
) -> None:
    from glpn import cluster
    from glpn.engines.hardware import usable_cores

    job, pictures = cluster.prepare(job, photographs)
    cpus = (workers or max(1, usable_cores() // job.threads)) * job.threads
    with (
        cluster.session(address, cpus=cpus),
        console.progress(len(pictures), quiet=tally.quiet or tally.as_json, unit="photos") as step,
    ):
        for result in cluster.run(job, pictures, workers=workers):
            tally.add(result)
            step()


class Tally:
    """Counts and says what became of the photographs."""

    def __init__(self, *, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.counts: Counter[str] = Counter()
        self.codes: list[int] = []

    def add(self, result: Result) -> None:
        """Take in one result.

        Raises:
            OutputFailed, MissingDependency: no other photograph would escape this error.
        """
        from glpn import errors, jobs

        if result.error:
            error: type[GLPNError] = getattr(errors, result.kind)
            if issubclass(error, jobs.FATAL):
                raise error(result.error)
            self.failed(result.name, result.error, error.exit_code)
            return
        self.counts[result.status] += 1
        if self.as_json:
            record = {"image": result.name, "status": result.status, "files": list(result.files)}
            console.say_json(record)

    def failed(self, name: str, message: str, code: int) -> None:
        """Take in one failure."""
        self.counts["failed"] += 1
        self.codes.append(code)
        if len(self.codes) <= _MAX_SHOWN:
            console.complain(message if message.startswith(name) else f"{name}: {message}")
        if self.as_json:
            record = {"image": name, "status": "failed", "error": message, "code": code}
            console.say_json(record)

    def summarise(self, destination: str) -> None:
        """One line."""
        if len(self.codes) > _MAX_SHOWN:
            console.note(f"{len(self.codes) - _MAX_SHOWN} more errors; --json tells all")
        if not (self.quiet or self.as_json):
            counts = ", ".join(f"{number} {what}" for what, number in self.counts.items())
            console.say(console.escaped(f"{counts or 'nothing'}; files are in {destination}"))


def _absolute(destination: str) -> str:
    """Workers run elsewhere, where a relative path would mean another folder."""
    from glpn.cluster import place_of

    place = place_of(destination)
    return place.url if place.folder is None else os.path.abspath(place.folder)


def _photographs(
    source: str, *, recursive: bool
) -> tuple[list[tuple[str, str]], Iterable[tuple[str, GLPNError]]]:
    """(Name, path or URL) of every photograph, and what could not be found."""
    from glpn.cli.inputs import SUFFIXES, gather
    from glpn.cluster import place_of

    place = place_of(source)
    if place.folder is not None:
        inputs, failures = gather([str(place.folder)], recursive=recursive)
        return [(photo.name, photo.image) for photo in inputs], failures
    names = [
        name
        for name in place.names(recursive=recursive)
        if name.lower().endswith(SUFFIXES) and not name.rpartition("/")[2].startswith(".")
    ]
    if not names:
        raise MissingInput(f"{source}: no {', '.join(SUFFIXES)} there")
    return [(place.address(name), place.address(name)) for name in names], []
