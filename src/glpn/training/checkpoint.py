"""Checkpoints: the state of a run between two steps, written atomically and hashed.

A checkpoint is a folder `step-00001200` that holds `tensors.safetensors`, `values.json` and a
manifest. The manifest's first line is the SHA-256 of the rest; the rest gives the size and SHA-256
of the other files, so that no changed bit goes unnoticed. The folder is written under a
temporary name and renamed when everything is on disk. It contains no pickles.

The state of random number generators is not saved: data order, augmentation and dropped paths
depend only on the seed and the step.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

import glpn
from glpn.errors import CheckpointError, OutputFailed
from glpn.files import require_writable_folder
from glpn.network.model import GLPNForDepthEstimation
from glpn.training.optimiser import AveragedNetwork

MANIFEST = "manifest"
FORMAT = 2

_VALUES = "values.json"
_TENSORS = "tensors.safetensors"
_NAME = re.compile(r"step-(\d{8,})")
_PART = ".part"  # suffix of an unfinished checkpoint
_OLD = ".old"  # suffix of a checkpoint that is about to be deleted


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a run needs to resume: tensors by name, and JSON values."""

    step: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


@dataclass
class TrainState:
    """Everything that changes from step to step.

    Attributes:
        network: the network being trained.
        average: moving average of its weights, or None if disabled.
        optimiser, scaler: with their internal state.
        projections: trained with the network but not exported; see `losses.FeatureProjections`.
        step: number of updates so far.
        validated: the step of the last validation, -1 before the first.
        best: the best score so far; smaller is better.
        stale: number of validations since the best one.
        empty: number of frames so far without a valid pixel.
        saved: `step` and `validated` of the last checkpoint on the disk.
    """

    network: GLPNForDepthEstimation
    average: AveragedNetwork | None
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    projections: nn.Module | None = None
    step: int = 0
    validated: int = -1
    best: float = math.inf
    stale: int = 0
    empty: int = 0
    saved: tuple[int, int] | None = None

    @property
    def exported(self) -> GLPNForDepthEstimation:
        """The network that is validated and exported: the average, if enabled."""
        return self.network if self.average is None else self.average.network

    def checkpoint(self, **values: object) -> Checkpoint:
        """Return the complete state, plus additional JSON values."""
        tensors = _prefixed("network", self.network.state_dict())
        if self.average is not None:
            tensors |= _prefixed("average", self.average.network.state_dict())
        if self.projections is not None:
            tensors |= _prefixed("projections", self.projections.state_dict())
        for name, parameter in named_parameters(self.network, self.projections).items():
            tensors |= _prefixed(f"optimiser.{name}", self.optimiser.state.get(parameter, {}))
        return Checkpoint(
            self.step,
            tensors,
            {
                "glpn": glpn.__version__,
                "torch": torch.__version__,
                "step": self.step,
                "validated": self.validated,
                "best": None if math.isinf(self.best) else self.best,
                "stale": self.stale,
                "empty": self.empty,
                "scaler": self.scaler.state_dict(),
                **values,
            },
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state from a checkpoint.

        Raises:
            CheckpointError: the checkpoint is for a different network.
        """
        tensors = dict(checkpoint.tensors)
        try:
            self.network.load_state_dict(_without_prefix("network", tensors))
            if self.average is not None:
                self.average.network.load_state_dict(_without_prefix("average", tensors))
            if self.projections is not None:
                self.projections.load_state_dict(_without_prefix("projections", tensors))
        except RuntimeError as e:
            raise CheckpointError(
                f"step {checkpoint.step}: the checkpoint is for a different network: {e}"
            ) from None
        for name, parameter in named_parameters(self.network, self.projections).items():
            moments = _without_prefix(f"optimiser.{name}", tensors)
            if moments:
                self.optimiser.state[parameter] = {
                    key: _laid_out_like(parameter, value) for key, value in moments.items()
                }
        values = checkpoint.values
        self.scaler.load_state_dict(values["scaler"])
        self.step, self.validated = values["step"], values["validated"]
        self.best = math.inf if values["best"] is None else values["best"]
        self.stale, self.empty = values["stale"], values["empty"]
        self.saved = (self.step, self.validated)


def named_parameters(network: nn.Module, projections: nn.Module | None) -> dict[str, nn.Parameter]:
    """Return every parameter that the optimiser may hold, by name."""
    named = dict(network.named_parameters())
    if projections is not None:
        named |= {f"projections.{name}": value for name, value in projections.named_parameters()}
    return named


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint into `folder`, then delete all but the newest `keep`.

    Raises:
        CannotCreateOutput, OutputFailed: the checkpoint cannot be written; earlier ones are intact.
    """
    require_writable_folder(folder)
    final = folder / f"step-{checkpoint.step:08d}"
    part = final.with_name(final.name + _PART)
    with _output_errors(final):
        _discard(part)
        part.mkdir()
        try:
            _fill(part, checkpoint)
            _put_in_place(part, final)
        finally:
            _discard(part)
        for path in list_checkpoints(folder)[keep:]:
            _discard(path)
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints in a folder, newest first; contents are not checked."""
    if not folder.is_dir():
        return []
    found = [(int(m[1]), p) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found, reverse=True)]


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest undamaged checkpoint, or None, and the error of each newer one."""
    errors: list[str] = []
    for path in list_checkpoints(folder):
        try:
            return read_checkpoint(path), errors
        except CheckpointError as e:
            errors.append(str(e))
    return None, errors


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: one of its files is missing or differs from what was written.
    """
    manifest = _read_manifest(path)
    if manifest["format"] != FORMAT:
        raise CheckpointError(f"{path}: written by another version of glpn, {manifest['glpn']}")
    files = {name: _read_file(path / name, entry) for name, entry in manifest["files"].items()}
    try:
        return Checkpoint(manifest["step"], load(files[_TENSORS]), json.loads(files[_VALUES]))
    except (KeyError, SafetensorError) as e:
        raise CheckpointError(f"{path}: {e}") from None


def clean(folder: Path) -> None:
    """Delete the unfinished files of a killed process."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name.endswith((_PART, _OLD)):
                _discard(path)


def _fill(part: Path, checkpoint: Checkpoint) -> None:
    """Write the files, then the manifest, and flush each to the disk."""
    tensors = {n: t.detach().cpu().contiguous() for n, t in checkpoint.tensors.items()}
    contents = {_VALUES: json.dumps(checkpoint.values).encode(), _TENSORS: save(tensors)}
    for name, data in contents.items():
        _write(part / name, data)
    manifest = {
        "format": FORMAT,
        "glpn": checkpoint.values.get("glpn"),
        "step": checkpoint.step,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in contents.items()
        },
    }
    body = json.dumps(manifest).encode()
    _write(part / MANIFEST, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    _sync_folder(part)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(part: Path, final: Path) -> None:
    """Rename the finished folder; a damaged checkpoint of the same step is replaced."""
    old = final.with_name(final.name + _OLD)
    if final.exists():
        _discard(old)
        final.rename(old)
    part.rename(final)
    _sync_folder(final.parent)
    _discard(old)


def _discard(path: Path) -> None:
    """Delete a folder.

    It is renamed first, so that a half-deleted folder is never taken for a checkpoint.
    """
    if not path.exists():
        return
    if _NAME.fullmatch(path.name):
        path = path.rename(path.with_name(path.name + _OLD))
    shutil.rmtree(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_manifest(path: Path) -> dict[str, Any]:
    digest, _, body = _bytes(path / MANIFEST).partition(b"\n")
    if digest != hashlib.sha256(body).hexdigest().encode():
        raise CheckpointError(f"{path}: the manifest is damaged")
    manifest: dict[str, Any] = json.loads(body)
    return manifest


def _read_file(path: Path, entry: Mapping[str, object]) -> bytes:
    data = _bytes(path)
    if len(data) != entry["bytes"]:
        raise CheckpointError(f"{path}: damaged: {len(data)} bytes instead of {entry['bytes']}")
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise CheckpointError(f"{path}: damaged: its SHA-256 differs from the manifest's")
    return data


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise CheckpointError(f"{path}: cannot be read: {e.strerror}") from None


@contextmanager
def _output_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise OutputFailed(f"{path}: cannot be written: {e.strerror or e}") from e


def _prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}:{name}": value for name, value in state.items()}


def _without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}:"
    return {
        name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
    }


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """Return an optimiser moment in its parameter's memory format.

    Sums over both then run in the same order.
    """
    # The optimiser's scalar step counter has no layout to match.
    if value.shape != parameter.shape:
        return value.to(parameter.device)
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
