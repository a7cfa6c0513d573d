"""FolderJob: a list of photos into one folder, several at a time, resumable.

A photo that fails never stops the others. Only an error that every other photo would meet ends
the job: a full disk, a missing package.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

from glpn import files
from glpn.concurrency import map_ordered
from glpn.files.lock import file_lock
from glpn.jobs.manifest import Manifest
from glpn.jobs.memory import keep_large_blocks
from glpn.jobs.photo_job import FATAL_ERRORS, PhotoJob, PhotoResult, Present
from glpn.jobs.shards import Shard
from glpn.jobs.shared_estimator import SharedEstimator
from glpn.jobs.spec import JobPhoto, JobSpec

T = TypeVar("T")

_IO_THREADS = 2  # read and write while the others predict


class FolderJob(Generic[T]):
    """A run over photos.

    Args:
        spec: what to do with each photo; `output` is a folder.
        photos: all photos, those of other shards included.
        present: see `PhotoJob`.
        shard: the part of the photos for this run; None takes all.
        resumable: record every photo in a manifest, from which an interrupted run resumes.
        always: predict even if all files exist.

    Attributes:
        photos: the photos of this run, with the stems of their outputs.

    Raises:
        CannotCreateOutput: the manifest cannot be read.
    """

    def __init__(
        self,
        spec: JobSpec,
        photos: Sequence[JobPhoto],
        present: Present[T],
        *,
        shard: Shard | None = None,
        resumable: bool = True,
        always: bool = False,
    ) -> None:
        self.folder = Path(spec.output)
        self._manifest = Manifest(self.folder, "" if shard is None else shard.manifest)
        if spec.formats:
            self._manifest.read()
        # Outputs of a folder's job stay of one kind, even if one of its photos is named explicitly.
        own = spec.replace_own and not len(self._manifest)
        protected = spec.protected | identities(photo.image for photo in photos)
        self.spec = replace(spec, replace_own=own, protected=protected)
        stems = self._manifest.stems([photo.image for photo in photos])
        named = [replace(photo, stem=stem) for photo, stem in zip(photos, stems, strict=True)]
        self.photos = [photo for photo in named if shard is None or shard.holds(photo.stem)]
        records = bool(spec.formats) and (resumable or len(self._manifest) > 0)
        # All shards count, so that they choose the same engine.
        model = SharedEstimator(
            spec.engine, photos=len(photos), asked=spec.asked, uncertainty=spec.uncertainty
        )
        self._job = PhotoJob(
            self.spec,
            self.folder,
            model,
            present,
            manifest=self._manifest if records else None,
            always=always,
        )
        self._records = records

    def results(self) -> Generator[PhotoResult[T], None, None]:
        """The result of every photo, in order; ends early after an error of FATAL_ERRORS.

        Raises:
            CannotCreateOutput: the folder is not writable, another process works in it, or its
                files were made by another model; nothing was predicted.
            MissingInput, CheckpointError, ConfigError, ...: the model cannot be opened.
            UsageError: the model does not support the uncertainty.
        """
        with ExitStack() as stack:
            stack.enter_context(closing(self._manifest))
            if self._writes():
                files.require_writable_folder(self.folder)
                if self._records:
                    stack.enter_context(self._lock())
            self._job.require_same(self.photos)
            threads = 0
            if len(self.photos) > 1:
                threads = self._job.model.concurrency + _IO_THREADS
                keep_large_blocks()
            results = map_ordered(self._job, self.photos, threads=threads, name="photo")
            for result in stack.enter_context(closing(results)):
                yield result
                if isinstance(result.error, FATAL_ERRORS):
                    return

    def _writes(self) -> bool:
        targets = (path for photo in self.photos for path in self._job.targets(photo).values())
        return any(self.spec.overwrite or not os.path.lexists(path) for path in targets)

    def _lock(self) -> AbstractContextManager[None]:
        path = self._manifest.path.with_name(f".{self._manifest.path.stem}.lock")
        return file_lock(path, doing="predicting into it; wait, or use --shard or another -o")


def identities(paths: Iterable[str]) -> frozenset[tuple[int, int]]:
    """(device, inode) of the files that exist, and of symbolic links to them."""
    found = set()
    for path in paths:
        for look in (os.stat, os.lstat):
            try:
                status = look(path)
            except (OSError, ValueError):
                continue
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)
