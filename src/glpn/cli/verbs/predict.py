"""`glpn predict`: estimates the depth of photos and writes it to files."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from glpn.cli import console, inputs, options
from glpn.cli.verbs.predict_options import (
    DetailGroup,
    FormatGroup,
    MaxMegapixels,
    Output,
    Photos,
    PlaceGroup,
    ShardOption,
    Sheet,
)
from glpn.errors import GLPNError, UsageError, worst

if TYPE_CHECKING:
    from glpn.depth.depth import Depth
    from glpn.engines.options import EngineOptions
    from glpn.jobs import EstimatorCall, JobPhoto, JobSpec, PhotoResult, Shard
    from glpn.jobs.report import Places

_STANDARD_OUTPUT = "-"
_MAX_NAMED = 5  # skipped files listed by name
_PREDICTED, _KEPT, _FAILED, _NOT_TRIED = _STATUSES = ("predicted", "kept", "failed", "not tried")


@options.grouped
def predict(
    photos: Photos,
    output: Output = Path("depth"),
    *,
    model: options.ModelGroup,
    files: FormatGroup,
    places: PlaceGroup,
    camera: options.CameraGroup,
    measured: options.MeasuredGroup,
    detail: DetailGroup,
    max_megapixels: MaxMegapixels = None,
    recursive: options.Recursive = False,
    shard: ShardOption = None,
    sheet: Sheet = None,
    overwrite: options.Overwrite = False,
    printed: options.Printed,
) -> None:
    """Estimate the distance in metres of every pixel of photos.

    Writes a 16-bit PNG and a colour image for each photo, and prints one line about it.

    With one photo, glpn replaces earlier outputs of that photo. With a folder or a list, it keeps
    outputs already made from the same photo, model and options, so that the same command resumes
    an interrupted run. A bad photo never stops the others.

    Examples:

      glpn predict kitchen.jpg
      glpn predict kitchen.jpg --at 320,240 --between 100,400,500,400
      glpn predict holiday/ -o maps --format npz,glb --fov 67
      glpn predict kitchen.jpg --uncertainty flip
      cat kitchen.jpg | glpn predict - --json --format none
      glpn predict kitchen.jpg --format npz -o - > kitchen.npz
    """
    from glpn.jobs import JobSpec, Shard

    many = inputs.is_job(photos)
    if measured.sparse is not None and many:
        raise UsageError("--sparse: belongs to one photo; give one")
    call = _call(camera, measured, detail)
    spec = JobSpec(
        engine=_for_uncertainty(model.engine_options(), detail.kind),
        output=str(output),
        formats=files.writers(uncertain=detail.kind is not None),
        call=call,
        changes=_changes(call, measured, detail),
        limits=inputs.image_limits(max_megapixels),
        overwrite=overwrite,
        replace_own=not many,
    )
    run = _Run(spec, places.parsed(), as_json=printed.as_json, quiet=printed.quiet)
    found = inputs.gather(photos, recursive=recursive)
    if str(output) == _STANDARD_OUTPUT:
        for option, value in (("--json", printed.as_json), ("--sheet", sheet), ("--shard", shard)):
            if value:
                raise UsageError(f"{option}: not with -o -, which writes one file and nothing else")
        run.write_to_standard_output(found)
        return
    part = None if shard is None else Shard.parse(shard)
    raise typer.Exit(run.predict(found, shard=part, sheet=sheet, many=many))


def _call(
    camera: options.CameraGroup,
    measured: options.MeasuredGroup,
    detail: DetailGroup,
) -> EstimatorCall:
    """Return the keyword arguments of the estimator for every photo."""
    given = inputs.camera(camera)
    return {
        **given,
        "uncertainty": detail.kind,
        "tiles": _tiles(detail.tiles, detail.kind),
        "measurements": inputs.measurements(measured, given),
    }


def _changes(
    call: EstimatorCall, measured: options.MeasuredGroup, detail: DetailGroup
) -> dict[str, object]:
    """Return the options that change the metres, by the names of their flags."""
    return {
        **{name: call.get(name) for name in ("focal", "fov", "camera", "uncertainty")},
        "tiles": detail.tiles,
        "ref": measured.ref,
        "known": measured.known,
        "sparse": None if measured.sparse is None else _content(measured.sparse),
        "sparse-scale": measured.sparse_scale,
    }


def _content(path: Path) -> str:
    """Return a file's path and hash: another content changes the metres, too."""
    return f"{path} (SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()})"


def _for_uncertainty(engine: EngineOptions, uncertainty: str | None) -> EngineOptions:
    """Return the engine options, with torch if only torch supports the uncertainty.

    Raises:
        UsageError: the requested engine does not support it.
    """
    if uncertainty != "droppath":
        return engine
    if engine.engine not in ("auto", "torch"):
        raise UsageError(f"--uncertainty droppath: needs --engine torch, got {engine.engine}")
    return replace(engine, engine="torch")


def _tiles(text: str | None, uncertainty: str | None) -> int | bool | None:
    """Return the estimator's `tiles` for --tiles.

    Raises:
        UsageError: the text is no number of tiles, or an uncertainty is requested too.
    """
    if text is None:
        return None
    from glpn.processing.tiling import require_tiles

    if text != "auto" and not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise UsageError(f"--tiles: expected auto or a whole number above 0, got {text!r}")
    tiles = True if text == "auto" else int(text)
    require_tiles(tiles, uncertainty)
    return tiles


@dataclass(frozen=True)
class _Printed:
    """The printed output for one depth: a line, or a record with --json."""

    line: str
    record: Mapping[str, object]


@dataclass
class _Run:
    """One run of the verb and its printed output."""

    spec: JobSpec
    places: Places
    as_json: bool
    quiet: bool
    counts: Counter[str] = field(default_factory=Counter)
    codes: list[int] = field(default_factory=list)

    def predict(
        self,
        found: inputs.Found,
        *,
        shard: Shard | None,
        sheet: Path | None,
        many: bool,
    ) -> int:
        """Predict all photos into the output folder and return the exit code."""
        from glpn.jobs import FolderJob

        for name, error in found.failures:
            self._print_failure(name, error)
        self._note_skipped(found.skipped)
        if sheet is not None:
            from glpn.jobs.contact_sheet import require_sheet

            require_sheet(sheet, self.spec)
        job = FolderJob(
            self.spec,
            found.photos,
            self._present,
            shard=shard,
            resumable=many,
            always=bool(self.places),
        )
        if job.photos:
            with (
                console.progress(len(job.photos), quiet=self.quiet, unit="photos") as advance,
                closing(job.results()) as results,
            ):
                self._print_results(results, len(job.photos), advance)
            if sheet is not None and not self.counts[_NOT_TRIED]:
                self._write_sheet(sheet, job.photos)
        if not self.quiet and (len(job.photos) > 1 or self.counts[_KEPT] or shard is not None):
            self._summarise()
        return worst(self.codes)

    def write_to_standard_output(self, found: inputs.Found) -> None:
        """Predict one photo and write one file to standard output.

        Raises:
            UsageError: there are several photos or formats.
        """
        from glpn.image.photo import read_photo
        from glpn.jobs import SharedEstimator

        for _, error in found.failures:
            raise error
        if len(found.photos) != 1 or len(self.spec.formats) != 1:
            raise UsageError("-o -: expected one photo and one --format, such as --format png16")
        model = SharedEstimator(
            self.spec.engine, asked=self.spec.asked, uncertainty=self.spec.uncertainty
        )
        [photo], [(format, writer)] = found.photos, self.spec.formats.items()
        read = read_photo(photo.source(), name=photo.name, limits=self.spec.limits)
        depth = model.predict(read, self.spec.call)
        printed = self._present(photo, depth, {}, {})
        console.print_bytes(depth.encode(format, **writer))
        if printed.line:
            console.note(console.escaped(printed.line))

    def _present(
        self,
        photo: JobPhoto,
        depth: Depth,
        written: Mapping[str, Path],
        kept: Mapping[str, Path],
    ) -> _Printed:
        from glpn.jobs.report import PhotoReport

        report = PhotoReport(photo.name, depth, self.places.measure(depth), written, kept)
        if self.as_json:
            return _Printed("", report.record())
        return _Printed("" if self.quiet else report.line(), {})

    def _print_results(
        self, results: Iterable[PhotoResult[_Printed]], count: int, advance: Callable[[], None]
    ) -> None:
        from glpn.jobs import FATAL_ERRORS

        for done, result in enumerate(results, 1):
            self._print_result(result)
            advance()
            if isinstance(result.error, FATAL_ERRORS):
                self.counts[_NOT_TRIED] = count - done

    def _print_result(self, result: PhotoResult[_Printed]) -> None:
        name = result.photo.name
        if result.error is not None:
            self._print_failure(name, result.error)
            return
        self.counts[result.status] += 1
        printed = result.report
        if printed is None:
            kept = {format: str(path) for format, path in result.kept.items()}
            line = f"{name}: exists already: {', '.join(kept.values())}"
            printed = _Printed(line, {"image": name, "status": _KEPT, "files": kept})
        if self.as_json:
            console.print_json(printed.record)
        elif not self.quiet:
            console.print_line(console.escaped(printed.line))

    def _print_failure(self, name: str, error: GLPNError) -> None:
        self.counts[_FAILED] += 1
        self.codes.append(error.exit_code)
        shown, message = console.escaped(name), console.escaped(error)
        message = message if message.startswith(shown) else f"{shown}: {message}"
        console.error(message)
        if self.as_json:
            record = {"image": name, "status": _FAILED, "error": message, "code": error.exit_code}
            console.print_json(record)

    def _note_skipped(self, skipped: Sequence[Path]) -> None:
        """Print the number and the names of files in folders that are not photos."""
        if not skipped or self.quiet:
            return
        names = ", ".join(path.name for path in skipped[:_MAX_NAMED])
        more = ", …" if len(skipped) > _MAX_NAMED else ""
        files = "1 file" if len(skipped) == 1 else f"{len(skipped)} files"
        console.note(console.escaped(f"skipped {files} by name: {names}{more}"))

    def _write_sheet(self, sheet: Path, photos: Sequence[JobPhoto]) -> None:
        from glpn.jobs.contact_sheet import write_sheet

        shown = write_sheet(sheet, photos, self.spec)
        if not self.quiet:
            console.note(console.escaped(f"{sheet}: shows {shown} of {len(photos)}"))

    def _summarise(self) -> None:
        parts = [f"{self.counts[what]} {what}" for what in _STATUSES if self.counts[what]]
        counts = ", ".join(parts) or "this shard has no photos"
        where = f"; files are in {self.spec.output}" if self.spec.formats else ""
        again = "; --overwrite predicts the kept ones again" if self.counts[_KEPT] else ""
        console.note(console.escaped(counts + where + again))
