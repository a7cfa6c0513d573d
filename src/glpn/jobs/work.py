"""Work: one photograph of a job, from its bytes to its files, whoever asks for it and where."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from glpn import files
from glpn.depth.depth import Depth
from glpn.errors import (
    CannotCreateOutput,
    GLPNError,
    ImageTooLarge,
    MissingDependency,
    OutputFailed,
)
from glpn.image.containers import MinDecodeSize
from glpn.image.photo import display_name, read_bytes, read_photo
from glpn.jobs.manifest import Entry, Manifest
from glpn.jobs.opened import Opened
from glpn.jobs.origin import ANOTHER_PHOTOGRAPH, Origin

T = TypeVar("T")

PREDICTED, KEPT, FAILED = "predicted", "kept", "failed"
FATAL = (OutputFailed, MissingDependency)  # of one picture, but no other would escape them
_TOLD = ("scale", "colormap")  # options that a file's own metadata holds


@dataclass(frozen=True)
class Picture:
    """One photograph of a job.

    Attributes:
        name: as messages say it; a file's is its path.
        stem: of its outputs' names.
        image: its path in full or its URL: what the manifest knows it by.
        source: makes what `read_photo` takes.
    """

    name: str
    stem: str
    image: str
    source: Callable[[], Any]


@dataclass(frozen=True)
class Order:
    """What is wanted of every photograph.

    Attributes:
        folder: for the files.
        formats: key of `glpn.files.FORMATS` → options of its encoder; perhaps none.
        call: keyword arguments of the estimator's call: focal, fov, uncertainty, tiles.
        asked: what changes the metres, as text: see `Origin`.
        overwrite: replace files that are there.
        protected: (device, inode) of files that must never be replaced: the photographs.
    """

    folder: Path
    formats: Mapping[str, Mapping[str, Any]]
    call: Mapping[str, Any] = field(default_factory=dict)
    asked: str = ""
    overwrite: bool = False
    protected: frozenset[tuple[int, int]] = frozenset()

    def target(self, picture: Picture, format: str) -> Path:
        """Where one file goes."""
        return self.folder / f"{picture.stem}{files.FORMATS[format].suffix}"


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of one picture.

    Attributes:
        picture: which one.
        status: PREDICTED, KEPT or FAILED.
        written, kept: format → file.
        said: what `present` made of the depth.
        error: why it failed.
    """

    picture: Picture
    status: str
    written: Mapping[str, Path] = field(default_factory=dict)
    kept: Mapping[str, Path] = field(default_factory=dict)
    said: T | None = None
    error: GLPNError | None = None


class Work(Generic[T]):
    """Does pictures, one a call; several threads may call it.

    Args:
        order: what is wanted.
        model: opened if a picture needs it.
        present: what to keep of a depth; called with (picture, depth, written, kept) before the
            files are written, so that its errors are the picture's.
        manifest: where what becomes of a picture is noted; None: nowhere.
        always: predict though all files are there, because `present` has questions.
    """

    def __init__(
        self,
        order: Order,
        model: Opened,
        present: Callable[[Picture, Depth, Mapping[str, Path], Mapping[str, Path]], T],
        *,
        manifest: Manifest | None = None,
        always: bool = False,
    ) -> None:
        self.order = order
        self.model = model
        self._present = present
        self._manifest = manifest
        self._always = always or not order.formats

    def require_same(self, pictures: Iterable[Picture]) -> None:
        """Refuse to mix: nothing may be there that another model or other options made.

        Only what the manifest tells is compared, and no photograph is read.

        Raises:
            CannotCreateOutput: something is, and may not be overwritten.
            MissingInput: there is no such model.
        """
        if self._manifest is None or not len(self._manifest) or self.order.overwrite:
            return
        for picture in pictures:
            for format, options in self.order.formats.items():
                path = self.order.target(picture, format)
                told = self._manifest.told(picture.image, format, path.name)
                if told and os.path.lexists(path):
                    same = Origin(told["image_hash"], self.model.model_hash, self.order.asked)
                    if difference := same.difference(told, _told(options)):
                        raise _refusal(path, difference)

    def __call__(self, picture: Picture) -> Outcome[T]:
        """Do one picture; what is wrong with it is in the outcome, what is wrong with all raises.

        Raises:
            MissingInput, CheckpointError, ConfigError, UsageError, ...: the model cannot be
                opened.
            CannotCreateOutput, OutputFailed: the manifest cannot be written.
        """
        began = time.perf_counter()
        model_hash = self.model.model_hash
        origin = None
        try:
            data = read_bytes(picture.source(), display_name(picture.name))
            origin = Origin(hashlib.sha256(data).hexdigest(), model_hash, self.order.asked)
            write, keep = self._sort(picture, origin)
        except GLPNError as e:
            return self._failed(picture, e, origin, began)
        if not (write or self._always):
            self._note(picture, origin, keep, seconds=0)
            return Outcome(picture, KEPT, kept=keep)
        self.model.estimator()  # its errors are not this picture's
        try:
            said = self._predict(picture, data, write, keep)
        except GLPNError as e:
            return self._failed(picture, e, origin, began)
        self._note(picture, origin, {**keep, **write}, seconds=time.perf_counter() - began)
        return Outcome(picture, PREDICTED, write, keep, said)

    def _sort(self, picture: Picture, origin: Origin) -> tuple[dict[str, Path], dict[str, Path]]:
        """The files to write and those that are there and stay.

        Raises:
            CannotCreateOutput: something else is in a file's place.
        """
        targets = {format: self.order.target(picture, format) for format in self.order.formats}
        write = {f: path for f, path in targets.items() if self._must(picture, f, path, origin)}
        return write, {f: path for f, path in targets.items() if f not in write}

    def _must(self, picture: Picture, format: str, path: Path, origin: Origin) -> bool:
        try:
            there = os.lstat(path)
        except (OSError, ValueError):
            return True  # nothing there; what else is wrong shows when it is written
        if (there.st_dev, there.st_ino) in self.order.protected:
            raise CannotCreateOutput(f"{path}: is a photograph to be read; choose another -o")
        if self.order.overwrite:
            return True
        noted = self._noted(picture, format, path)
        if not files.valid_output(path, format, noted):
            raise CannotCreateOutput(
                f"{path}: exists and is no complete {format} file; --overwrite replaces it"
            )
        told = noted or files.label(path, format)
        difference = origin.difference(told, _told(self.order.formats[format]))
        if difference == ANOTHER_PHOTOGRAPH and noted:
            return True  # the same photograph, changed since: what was made of it is of no use
        if difference is not None:
            raise _refusal(path, difference)
        return False

    def _predict(
        self, picture: Picture, data: bytes, write: Mapping[str, Path], keep: Mapping[str, Path]
    ) -> T:
        try:
            photo = read_photo(data, name=picture.name, min_decode_size=self._fit)
            depth = self.model.predict(photo, self.order.call)
            said = self._present(picture, depth, write, keep)
            for format, path in write.items():
                options = self.order.formats[format]
                replace = self.order.overwrite or bool(self._noted(picture, format, path))
                depth.save(path, format, overwrite=replace, **options)
        except MemoryError:
            raise ImageTooLarge(f"{picture.name}: not enough memory") from None
        return said

    @property
    def _fit(self) -> MinDecodeSize | None:
        """How much of a photograph is needed: all of it where a file takes its colours."""
        needs_photo = any(files.FORMATS[name].needs_photo for name in self.order.formats)
        if needs_photo or self.order.call.get("uncertainty") or self.order.call.get("tiles"):
            return None
        return self.model.estimator().fit

    def _noted(self, picture: Picture, format: str, path: Path) -> Mapping[str, Any]:
        if self._manifest is None:
            return {}
        return self._manifest.told(picture.image, format, path.name)

    def _note(
        self, picture: Picture, origin: Origin, made: Mapping[str, Path], *, seconds: float
    ) -> None:
        """Add a line, unless one says the same already."""
        if self._manifest is None or all(self._noted(picture, f, p) for f, p in made.items()):
            return
        told = {
            f: {"name": p.name, **files.fingerprint(p), **_told(self.order.formats[f])}
            for f, p in made.items()
        }
        self._manifest.append(
            Entry(picture.image, picture.stem, origin.record(), told, round(seconds, 4))
        )

    def _failed(
        self, picture: Picture, error: GLPNError, origin: Origin | None, began: float
    ) -> Outcome[T]:
        if self._manifest is not None and not isinstance(error, FATAL):
            known = {} if origin is None else origin.record()
            seconds = round(time.perf_counter() - began, 4)
            entry = Entry(picture.image, picture.stem, known, {}, seconds, str(error))
            self._manifest.append(entry)
        return Outcome(picture, FAILED, error=error)


def _told(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in _TOLD if key in options}


def _refusal(path: Path, difference: str) -> CannotCreateOutput:
    made = f"was made {difference}" if difference else "does not say what it was made from"
    return CannotCreateOutput(
        f"{path}: {made}; --overwrite replaces it, another -o leaves it alone"
    )
