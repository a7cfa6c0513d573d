"""PhotoJob: one photo of a job, from its bytes to its files, in any thread or worker."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from glpn import files
from glpn.depth.depth import Depth
from glpn.errors import (
    CannotCreateOutput,
    GLPNError,
    ImageTooLarge,
    MissingDependency,
    OutputFailed,
)
from glpn.image.photo import display_name, read_bytes, read_photo
from glpn.jobs.identity import ANOTHER_PHOTO, OutputIdentity
from glpn.jobs.manifest import Entry, Manifest
from glpn.jobs.shared_estimator import SharedEstimator
from glpn.jobs.spec import JobPhoto, JobSpec

T = TypeVar("T")

PREDICTED, KEPT, FAILED = "predicted", "kept", "failed"
FATAL_ERRORS = (OutputFailed, MissingDependency)  # every other photo would fail in the same way
_RECORDED_OPTIONS = ("scale", "colormap")  # options that a file's own metadata holds

Paths = Mapping[str, Path]  # format → file
Present = Callable[[JobPhoto, Depth, Paths, Paths], T]


@dataclass(frozen=True)
class PhotoResult(Generic[T]):
    """The result of one photo.

    Attributes:
        photo: the photo.
        status: PREDICTED, KEPT or FAILED.
        written, kept: format → file.
        report: the result of `present`.
        error: why it failed.
    """

    photo: JobPhoto
    status: str
    written: Paths = field(default_factory=dict)
    kept: Paths = field(default_factory=dict)
    report: T | None = None
    error: GLPNError | None = None


class PhotoJob(Generic[T]):
    """Processes one photo per call; several threads may call it.

    Args:
        spec: what to do with each photo.
        folder: the destination of the files.
        model: opened if a photo needs it.
        present: called with (photo, depth, written, kept) before the files are written, so that
            its errors count as the photo's. Its return value is part of the result.
        manifest: records the result of each photo; None records nothing.
        always: predict even if all files exist, because `present` needs the depth.
    """

    def __init__(
        self,
        spec: JobSpec,
        folder: Path,
        model: SharedEstimator,
        present: Present[T],
        *,
        manifest: Manifest | None = None,
        always: bool = False,
    ) -> None:
        self.spec = spec
        self.folder = folder
        self.model = model
        self._present = present
        self._manifest = manifest
        self._always = always or not spec.formats

    def targets(self, photo: JobPhoto) -> dict[str, Path]:
        """Return the files of one photo by format."""
        return {f: self.spec.target(self.folder, photo, f) for f in self.spec.formats}

    def require_same(self, photos: Iterable[JobPhoto]) -> None:
        """Refuse to mix outputs of different models or options in one folder.

        Reads the manifest, and files that differ from it, but no photo.

        Raises:
            CannotCreateOutput: an output was made differently and may not be replaced.
            MissingInput: the model does not exist.
        """
        if self._manifest is None or not len(self._manifest):
            return
        if self.spec.overwrite or self.spec.replace_own:
            return
        for photo in photos:
            for format, path in self.targets(photo).items():
                recorded = self._recorded(photo, format, path)
                if not recorded or not os.path.lexists(path):
                    continue
                options = _recorded_options(self.spec.formats[format])
                difference = self._wanted(recorded).difference(recorded, options)
                if difference and self._was_replaced(photo, format, path, recorded):
                    label = files.label(path, format)
                    difference = self._wanted(label).difference(label, options)
                if difference:
                    raise _refusal(path, difference)

    def __call__(self, photo: JobPhoto) -> PhotoResult[T]:
        """Process one photo. Its own errors are in the result; errors of the whole job raise.

        Raises:
            MissingInput, CheckpointError, ConfigError, UsageError, ...: the model cannot be
                opened.
            CannotCreateOutput, OutputFailed: the manifest cannot be written.
        """
        began = time.perf_counter()
        result, identity = self._process(photo)
        if isinstance(result.error, CannotCreateOutput):
            # Another process may have finished the same photo in the meantime.
            result, identity = self._process(photo)
        seconds = time.perf_counter() - began if result.status != KEPT else 0.0
        self._record(result, identity, seconds)
        return result

    def _process(self, photo: JobPhoto) -> tuple[PhotoResult[T], OutputIdentity | None]:
        identity = None
        self._identity("")  # the model's errors are not this photo's
        try:
            shown, max_bytes = display_name(photo.name), self.spec.limits.max_bytes
            data = read_bytes(photo.source(), shown, max_bytes=max_bytes)
            identity = self._identity(hashlib.sha256(data).hexdigest())
            write = {f: p for f, p in self.targets(photo).items() if self._must(photo, f, identity)}
            kept = {f: p for f, p in self.targets(photo).items() if f not in write}
        except GLPNError as e:
            return PhotoResult(photo, FAILED, error=e), identity
        if not (write or self._always):
            return PhotoResult(photo, KEPT, kept=kept), identity
        self.model.estimator()  # its errors are not this photo's
        try:
            report = self._predict(photo, data, write, kept)
        except GLPNError as e:
            return PhotoResult(photo, FAILED, error=e), identity
        return PhotoResult(photo, PREDICTED, write, kept, report), identity

    def _wanted(self, recorded: Mapping[str, object]) -> OutputIdentity:
        """The identity of an output that this job would make from the recorded photo."""
        return self._identity(str(recorded.get("image_hash", "")))

    def _identity(self, image_hash: str) -> OutputIdentity:
        model = self.model
        return OutputIdentity(image_hash, model.model_hash, self.spec.asked, model.settings_hash)

    def _was_replaced(
        self, photo: JobPhoto, format: str, path: Path, noted: Mapping[str, object]
    ) -> bool:
        """Whether a file is complete and says that it is not the recorded one; forgets the record.

        A job that was killed leaves such a file: it had replaced an old output, and not recorded
        the new one yet.
        """
        if self._manifest is None or not files.valid_output(path, format):
            return False
        options = _recorded_options(noted)
        if not OutputIdentity.of(noted).difference(files.label(path, format), options):
            return False
        self._manifest.forget(photo.image, format)
        return True

    def _must(self, photo: JobPhoto, format: str, identity: OutputIdentity) -> bool:
        """Whether a file has to be written.

        Raises:
            CannotCreateOutput: an existing file must not be replaced.
        """
        path = self.spec.target(self.folder, photo, format)
        try:
            there = os.lstat(path)
        except (OSError, ValueError):
            return True  # no file; writing it will reveal any other problem
        if (there.st_dev, there.st_ino) in self.spec.protected:
            raise CannotCreateOutput(f"{path}: is one of the photos; choose another -o")
        if self.spec.overwrite:
            return True
        noted = self._recorded(photo, format, path)
        complete = files.valid_output(path, format, noted)
        if not complete and noted and self._was_replaced(photo, format, path, noted):
            complete, noted = True, {}
        if not complete:
            raise CannotCreateOutput(
                f"{path}: exists and is not a complete {format} file of glpn; "
                "--overwrite replaces it"
            )
        recorded = noted or files.label(path, format)
        options = _recorded_options(self.spec.formats[format])
        difference = identity.difference(recorded, options)
        if difference is None:
            return False
        if difference == ANOTHER_PHOTO and noted:
            return True  # the photo has changed, so its old output is obsolete
        same_photo = recorded.get("image_hash") == identity.image_hash
        if difference and self.spec.replace_own and (noted or same_photo):
            return True
        raise _refusal(path, difference)

    def _predict(self, photo: JobPhoto, data: bytes, write: Paths, kept: Paths) -> T:
        replaced = {format for format, path in write.items() if os.path.lexists(path)}
        whole = self.spec.needs_whole_photo
        smallest = None if whole else self.model.estimator().min_decode_size
        try:
            decoded = read_photo(
                data, name=photo.name, limits=self.spec.limits, min_decode_size=smallest
            )
            depth = self.model.predict(decoded, self.spec.call)
            report = self._present(photo, depth, write, kept)
            for format, path in write.items():
                options = self.spec.formats[format]
                depth.save(path, format, overwrite=format in replaced, **options)
        except MemoryError:
            raise ImageTooLarge(f"{photo.name}: not enough memory") from None
        return report

    def _recorded(self, photo: JobPhoto, format: str, path: Path) -> Mapping[str, object]:
        if self._manifest is None:
            return {}
        return self._manifest.recorded(photo.image, format, path.name)

    def _record(
        self, result: PhotoResult[T], identity: OutputIdentity | None, seconds: float
    ) -> None:
        """Add a line to the manifest, unless one says the same already."""
        if self._manifest is None or isinstance(result.error, FATAL_ERRORS):
            return
        photo, made = result.photo, {**result.kept, **result.written}
        known = all(self._recorded(photo, f, p) for f, p in made.items())
        if result.status == KEPT and known:
            return
        outputs = {
            f: {
                "name": p.name,
                **files.fingerprint(p),
                **_recorded_options(self.spec.formats[f]),
            }
            for f, p in made.items()
        }
        origin = {} if identity is None else identity.record()
        error = "" if result.error is None else str(result.error)
        entry = Entry(photo.image, photo.stem, origin, outputs, round(seconds, 4), error)
        self._manifest.append(entry)


def _recorded_options(options: Mapping[str, object]) -> dict[str, object]:
    return {key: options[key] for key in _RECORDED_OPTIONS if key in options}


def _refusal(path: Path, difference: str) -> CannotCreateOutput:
    made = f"was made {difference}" if difference else "does not say what it was made from"
    return CannotCreateOutput(f"{path}: {made}; --overwrite replaces it, another -o keeps it")
