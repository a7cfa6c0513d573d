"""The header of a safetensors file, read and checked without torch and without the data."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glpn.errors import CheckpointError, MissingInput

FORMAT = 1  # version of the files that this glpn writes; readers reject a higher one
NEEDS = "0.1.0"  # the oldest glpn that reads this format
_FORMAT_KEY, _NEEDS_KEY = "glpn_format", "glpn_needs"
FORMAT_METADATA = {_FORMAT_KEY: str(FORMAT), _NEEDS_KEY: NEEDS}

_MAX_HEADER_BYTES = 10 * 2**20  # MiT-b5 needs 0.2 MB
_MAX_DIMENSIONS = 16
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}  # numpy has no bfloat16
_COUNTS = {"I64": "<i8", "I32": "<i4"}
NUMPY_TYPES = _FLOATS | _COUNTS
_COUNTER = "num_batches_tracked"  # the only tensors that may be integers


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a header; `begin` and `end` are bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """A safetensors file without its data: the tensors by name, and the metadata."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


def read_header(file: str | Path) -> Header:
    """Read and check a safetensors header, without the data.

    Raises:
        MissingInput: the file does not exist.
        CheckpointError: the header is damaged, its offsets overlap, leave gaps or do not fit the
            file or the shapes, or the file needs a newer glpn.
    """
    file = Path(file)
    text, size = _header_text(file)
    try:
        values = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as e:
        raise CheckpointError(f"{file}: the header is not valid JSON: {e}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: the header is no JSON object")
    metadata = _metadata(file, values.pop("__metadata__", {}))
    start = 8 + len(text)
    entries = {name: _entry(file, name, value, start) for name, value in values.items()}
    _require_cover(file, entries, start=start, size=size)
    return Header(entries, metadata)


def _header_text(file: Path) -> tuple[bytes, int]:
    """The JSON of the header, and the size of the file."""
    if not file.is_file():
        raise MissingInput(f"{file}: no such file")
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8 or length > _MAX_HEADER_BYTES:
                raise CheckpointError(
                    f"{file}: a file of {size} bytes declares a safetensors header of {length} "
                    f"bytes; at most {_MAX_HEADER_BYTES} are accepted: damaged or no safetensors"
                )
            return stream.read(length), size
    except OSError as e:
        raise CheckpointError(f"{file}: cannot be read: {e}") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("an object contains a key twice")
    return values


def _metadata(file: Path, values: object) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise CheckpointError(f"{file}: __metadata__ is no object of strings")
    written = values.get(_FORMAT_KEY, str(FORMAT))
    if not written.isdecimal():
        raise CheckpointError(f"{file}: {_FORMAT_KEY} is no number: {written[:40]!r}")
    if len(written) > 9 or int(written) > FORMAT:
        needs = values.get(_NEEDS_KEY, "a newer version")[:40]
        raise CheckpointError(f"{file}: format {written[:9]} needs glpn >= {needs}")
    return values


def _entry(file: Path, name: str, value: object, start: int) -> TensorEntry:
    """Parse and check one tensor of the header."""
    where = f"{file}: tensor {name[:200]!r}"
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: expected dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in NUMPY_TYPES:
        raise CheckpointError(f"{where}: dtype {str(dtype)[:40]!r} is not supported")
    if dtype not in _FLOATS and not name.endswith(_COUNTER):
        raise CheckpointError(f"{where}: expected a floating dtype, got {dtype}")
    if not _are_counts(shape) or len(shape) > _MAX_DIMENSIONS:
        raise CheckpointError(f"{where}: shape must be whole numbers >= 0, got {str(shape)[:80]}")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise CheckpointError(f"{where}: data_offsets must be two, got {str(offsets)[:80]}")
    begin, end = offsets
    if end - begin != math.prod(shape) * np.dtype(NUMPY_TYPES[dtype]).itemsize:
        raise CheckpointError(
            f"{where}: shape {shape} of {dtype} does not fill the {end - begin} bytes it declares"
        )
    return TensorEntry(dtype, tuple(shape), start + begin, start + end)


def _are_counts(values: object) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**48 for v in values)


def _require_cover(file: Path, entries: dict[str, TensorEntry], *, start: int, size: int) -> None:
    """Check that every byte after the header belongs to exactly one tensor."""
    position = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            kind = "overlaps another" if entry.begin < position else "has a gap before it"
            raise CheckpointError(f"{file}: tensor {name[:200]!r} {kind}")
        position = entry.end
    if position != size:
        raise CheckpointError(
            f"{file}: {size} bytes long, but its header describes {position}: truncated or damaged"
        )
