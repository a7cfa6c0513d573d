"""Checkpoints: written whole or not at all, hashed to the last bit, found again newest first.

A checkpoint is a folder `step-00001200` of safetensors pieces, `values.json` and a manifest. The
manifest's first line is the SHA-256 of the rest of it; the rest names every other file with its
size and SHA-256, so that no bit can change unnoticed. The folder is filled under another name and
renamed when all of it is on the disk. No pickle anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from glpn.errors import CheckpointError, OutputFailed
from glpn.files import require_writable_folder

MANIFEST = "manifest"
FORMAT = 1
PIECE_BYTES = 15 * 2**20  # of tensors in a file: easy to copy through whatever limits file sizes

_VALUES = "values.json"
_NAME = re.compile(r"step-(\d{8,})")
_PART = ".part"  # what an unfinished checkpoint's name ends in
_OLD = ".old"


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on: tensors by name, and JSON values."""

    step: int
    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint, *, keep: int) -> Path:
    """Write a checkpoint into `folder`, then delete all but the newest `keep`.

    Raises:
        CannotCreateOutput, OutputFailed: it cannot be written; those before it are intact.
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
    """The complete checkpoints in a folder, newest first; whether they are sound is not checked."""
    if not folder.is_dir():
        return []
    found = [(int(m[1]), p) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found, reverse=True)]


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest sound checkpoint, or None, and what is wrong with each that is newer."""
    complaints: list[str] = []
    for path in list_checkpoints(folder):
        try:
            return read_checkpoint(path), complaints
        except CheckpointError as e:
            complaints.append(str(e))
    return None, complaints


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: a file of it is missing or is not, to the bit, what was written.
    """
    manifest = _read_manifest(path)
    if manifest["format"] > FORMAT:
        raise CheckpointError(f"{path}: written by a newer glpn, {manifest['glpn']}")
    files = {name: _read_file(path / name, told) for name, told in manifest["files"].items()}
    values = json.loads(files.pop(_VALUES))
    tensors: dict[str, Tensor] = {}
    try:
        for data in files.values():
            tensors |= load(data)
    except SafetensorError as e:  # what was hashed was no safetensors file
        raise CheckpointError(f"{path}: {e}") from None
    return Checkpoint(manifest["step"], tensors, values)


def clean(folder: Path) -> None:
    """Delete what a killed process left unfinished."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name.endswith((_PART, _OLD)):
                _discard(path)


def _fill(part: Path, checkpoint: Checkpoint) -> None:
    """Write all files, then the manifest, each down to the disk."""
    files = {_VALUES: _write(part / _VALUES, json.dumps(checkpoint.values).encode())}
    for number, piece in enumerate(_pieces(checkpoint.tensors)):
        name = f"tensors-{number:04d}.safetensors"
        files[name] = _write(part / name, save(piece))
    manifest = {
        "format": FORMAT,
        "glpn": checkpoint.values.get("glpn"),
        "step": checkpoint.step,
        "files": files,
    }
    body = json.dumps(manifest).encode()
    _write(part / MANIFEST, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    _sync_folder(part)


def _pieces(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors on the CPU, a few at a time."""
    piece: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        if piece and size + plain.nbytes > PIECE_BYTES:
            yield piece
            piece, size = {}, 0
        piece[name] = plain
        size += plain.nbytes
    yield piece


def _write(path: Path, data: bytes) -> dict[str, Any]:
    """Write a file down to the disk; returns what the manifest says of it."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _put_in_place(part: Path, final: Path) -> None:
    """Rename; a damaged checkpoint of the same step makes room first."""
    old = final.with_name(final.name + _OLD)
    if final.exists():
        _discard(old)
        final.rename(old)
    part.rename(final)
    _sync_folder(final.parent)
    _discard(old)


def _discard(path: Path) -> None:
    """Delete a folder; first out of sight, so that nobody takes half of it for a checkpoint."""
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


def _read_file(path: Path, told: Mapping[str, Any]) -> bytes:
    data = _bytes(path)
    if len(data) != told["bytes"]:
        raise CheckpointError(f"{path}: damaged: {len(data)} bytes instead of {told['bytes']}")
    if hashlib.sha256(data).hexdigest() != told["sha256"]:
        raise CheckpointError(f"{path}: damaged: its SHA-256 is not the manifest's")
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
