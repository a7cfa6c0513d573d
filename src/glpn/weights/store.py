"""Safetensors in and out: headers checked before anything is read, files replaced atomically."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from glpn.config import CONFIG_NAME, GLPNConfig, read_json
from glpn.errors import CannotCreateOutput, CheckpointError, MissingInput, OutputFailed

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
PICKLE_NAME = "pytorch_model.bin"
GRAPH_NAME = "model.onnx"
PROCESSOR_NAME = "preprocessor_config.json"

FORMAT = 1  # of the files written here; a reader refuses a higher one
_FORMAT_KEY, _NEEDS_KEY = "glpn_format", "glpn_needs"

_LARGEST_HEADER = 10 * 2**20  # bytes; MiT-b5 needs 0.2 MB
_MOST_DIMENSIONS = 16
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
_ITEM_BYTES |= {"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
_FLOATS = ("F64", "F32", "F16", "BF16")
_COUNTER = "num_batches_tracked"  # the only tensors that are no floats


@dataclass(frozen=True)
class TensorEntry:
    """What a header says about one tensor; `begin` and `end` are bytes from the file's start."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """A safetensors file without its data: tensors by name, in file order, and the metadata."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


def read_header(file: str | Path) -> Header:
    """Read and check a safetensors header; the data stay unread.

    Raises:
        MissingInput: there is no such file.
        CheckpointError: the header is damaged, its offsets overlap, leave gaps or do not fit the
            file or the shapes, or the file needs a newer glpn.
    """
    file = Path(file)
    try:
        with file.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8 or length > _LARGEST_HEADER:
                raise CheckpointError(
                    f"{file}: a file of {size} bytes declares a safetensors header of {length} "
                    f"bytes; at most {_LARGEST_HEADER} are accepted: damaged or no safetensors"
                )
            text = stream.read(length)
    except FileNotFoundError:
        raise MissingInput(f"{file}: no such file") from None
    except OSError as e:
        raise CheckpointError(f"{file}: cannot be read: {e}") from None
    try:
        values = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as e:
        raise CheckpointError(f"{file}: the header is not valid JSON: {e}") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: the header is no JSON object")
    metadata = _metadata(file, values.pop("__metadata__", {}))
    entries = {name: _entry(file, name, value, 8 + length) for name, value in values.items()}
    _require_cover(file, entries, start=8 + length, size=size)
    return Header(entries, metadata)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return values


def _metadata(file: Path, values: Any) -> dict[str, str]:
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise CheckpointError(f"{file}: __metadata__ is no object of strings")
    written = values.get(_FORMAT_KEY, str(FORMAT))
    if not written.isdecimal():
        raise CheckpointError(f"{file}: {_FORMAT_KEY} is no number: {written[:40]!r}")
    if len(written) > 9 or int(written) > FORMAT:
        needs = values.get(_NEEDS_KEY, "a newer version")[:40]
        raise CheckpointError(f"{file}: format {written[:9]} needs glpn >= {needs}")
    return values


def _entry(file: Path, name: str, value: Any, start: int) -> TensorEntry:
    """One tensor of the header, checked by itself."""
    where = f"{file}: tensor {name[:200]!r}"
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: expected dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise CheckpointError(f"{where}: dtype {str(dtype)[:40]!r} is not supported")
    if dtype not in _FLOATS and not name.endswith(_COUNTER):
        raise CheckpointError(f"{where}: expected a floating dtype, got {dtype}")
    if not _are_counts(shape) or len(shape) > _MOST_DIMENSIONS:
        raise CheckpointError(f"{where}: shape must be whole numbers >= 0, got {str(shape)[:80]}")
    if not _are_counts(offsets) or len(offsets) != 2:
        raise CheckpointError(f"{where}: data_offsets must be two, got {str(offsets)[:80]}")
    begin, end = offsets
    if end - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise CheckpointError(
            f"{where}: shape {shape} of {dtype} does not fill the {end - begin} bytes it declares"
        )
    return TensorEntry(dtype, tuple(shape), start + begin, start + end)


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**48 for v in values)


def _require_cover(file: Path, entries: dict[str, TensorEntry], *, start: int, size: int) -> None:
    """Every byte after the header belongs to exactly one tensor."""
    position = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            kind = "overlaps another" if entry.begin < position else "leaves a gap before it"
            raise CheckpointError(f"{file}: tensor {name[:200]!r} {kind}")
        position = entry.end
    if position != size:
        raise CheckpointError(
            f"{file}: {size} bytes long, but its header describes {position}: truncated or damaged"
        )


def read_tensors(source: str | Path) -> dict[str, Tensor]:
    """All tensors of a model's folder, or of one safetensors file, under their names on disk.

    Raises:
        MissingInput: no such file or folder, or no weights in it.
        CheckpointError: damaged, made by a newer glpn, a pickle, or NaN or infinity in a tensor.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for file in _weight_files(Path(source)):
        read_header(file)
        try:
            state |= load_file(file)
        except (SafetensorError, OSError) as e:
            raise CheckpointError(f"{file}: {e}") from None
    for name, tensor in state.items():
        _require_finite(source, name, bool(torch.isfinite(tensor).all()))
    return state


def read_arrays(source: str | Path) -> dict[str, np.ndarray[Any, Any]]:
    """`read_tensors` without torch: numpy arrays, bfloat16 widened to float32.

    Raises:
        MissingInput, CheckpointError: as `read_tensors`.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for file in _weight_files(Path(source)):
        header = read_header(file)
        with file.open("rb") as stream:
            for name, entry in header.tensors.items():
                stream.seek(entry.begin)
                array = _array(entry, stream.read(entry.end - entry.begin))
                _require_finite(source, name, bool(np.isfinite(array).all()))
                arrays[name] = array
    return arrays


def _array(entry: TensorEntry, data: bytes) -> np.ndarray[Any, Any]:
    if entry.dtype == "BF16":  # the upper half of a float32
        upper = np.frombuffer(data, "<u2").astype("<u4")
        return (upper << 16).view("<f4").reshape(entry.shape)
    kind = "?" if entry.dtype == "BOOL" else f"<{entry.dtype[0].lower()}{entry.dtype[1:]}"
    letter = {"?": "?"}.get(kind) or f"<{kind[1]}{_ITEM_BYTES[entry.dtype]}"
    return np.frombuffer(data, letter).reshape(entry.shape)


def _require_finite(source: str | Path, name: str, finite: bool) -> None:
    if not finite:
        raise CheckpointError(f"{source}: tensor {name!r} holds NaN or infinity")


def _weight_files(source: Path) -> list[Path]:
    """The safetensors files that hold a model: the file itself, one in the folder, or shards."""
    if not source.is_dir():
        return [source]
    if (source / WEIGHTS_NAME).is_file():
        return [source / WEIGHTS_NAME]
    if (source / INDEX_NAME).is_file():
        return _shards(source / INDEX_NAME)
    if (source / PICKLE_NAME).is_file():
        raise CheckpointError(
            f"{source}: holds {PICKLE_NAME} alone, a pickle, which is never loaded directly; "
            f"run `glpn convert {source} NEW_FOLDER` first"
        )
    raise MissingInput(f"{source}: no {WEIGHTS_NAME} in this folder")


def _shards(index: Path) -> list[Path]:
    values = read_json(index)
    weight_map = values.get("weight_map") if isinstance(values, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: weight_map is missing or empty")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(f"{index}: {name[:200]!r} is no safetensors file beside it")
    return [index.parent / name for name in names]


def write_model(folder: Path, config: GLPNConfig, state: Mapping[str, Tensor]) -> None:
    """Write `config.json` and `model.safetensors`, each replaced whole or not at all.

    Args:
        folder: made if it does not exist.
        config: the network's configuration.
        state: tensors under their names on disk.

    Raises:
        CannotCreateOutput: the folder cannot be made or written.
        OutputFailed: the disk is full or failed; the previous files are intact.
    """
    from safetensors.torch import save_file

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    metadata = {"format": "pt", _FORMAT_KEY: str(FORMAT), _NEEDS_KEY: "0.1.0"}
    text = config.to_json()
    make_folder(folder)
    with replacing(folder / WEIGHTS_NAME) as part:
        save_file(tensors, part, metadata=metadata)
    with replacing(folder / CONFIG_NAME) as part:
        part.write_text(text, "utf-8")


def make_folder(folder: Path) -> None:
    """Make a folder and its parents.

    Raises:
        CannotCreateOutput: it cannot be made, or something else has its name.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise CannotCreateOutput(f"{folder}: cannot be created: {e.strerror}") from None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, to be written in the block and then renamed over it.

    Raises:
        CannotCreateOutput: no permission, or the folder is gone.
        OutputFailed: writing failed; `path` is as it was and the temporary file is gone.
    """
    from safetensors import SafetensorError

    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.touch()
    except OSError as e:
        raise CannotCreateOutput(f"{path}: cannot be created: {e.strerror}") from None
    try:
        yield part
        _flush(part)
        part.replace(path)
        _flush(path.parent)
    except (OSError, SafetensorError) as e:
        raise OutputFailed(f"{path}: writing failed: {e}") from None
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Have the system put a file or a folder on the disk before anything else happens."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        MissingInput: there is no such file.
    """
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as stream:
            for block in iter(lambda: stream.read(2**20), b""):
                digest.update(block)
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    return digest.hexdigest()
