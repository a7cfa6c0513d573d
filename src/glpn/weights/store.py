"""Read and check a model's tensors; write a model's folder atomically."""

from __future__ import annotations

import functools
import hashlib
import json
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError

from glpn.errors import CheckpointError, ConfigError, MissingInput, UsageError
from glpn.files import atomic_file, require_writable_folder, write_file
from glpn.network.config import CONFIG_NAME, GLPNConfig
from glpn.network.pretrained_config import dtype_name
from glpn.records import read_json
from glpn.weights.header import FORMAT_METADATA, NUMPY_TYPES, TensorEntry, read_header

if TYPE_CHECKING:
    import torch
    from torch import Tensor

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
PICKLE_NAME = "pytorch_model.bin"
PICKLE_SUFFIXES = (".bin", ".ckpt", ".pt", ".pth")
GRAPH_NAME = "model.onnx"
TRUNK_NAME = "trunk.onnx"  # the same network up to its head
PRECISION_NAME = "precision.json"  # measurements of reduced precision with these weights
ERRORS_NAME = "errors.json"  # errors of these weights on held-out frames
PROCESSOR_NAME = "preprocessor_config.json"
CHECKSUMS_NAME = "checksums.json"  # SHA-256 of the files above and of `config.json`

_RACY = 2 * 10**9  # nanoseconds; within them a file may change without a newer timestamp


def read_tensors(source: str | Path, *, variant: str | None = None) -> dict[str, Tensor]:
    """All tensors of a model's folder, or of one safetensors file, under their names on disk.

    They are independent of the file: it can be replaced or overwritten later.

    Args:
        source: folder or file.
        variant: which of a folder's weights, as in `model.fp16.safetensors`.

    Raises:
        MissingInput: the file, the folder or its weights are missing.
        CheckpointError: the file is damaged, needs a newer glpn, is a pickle, or holds NaN or
            infinity.
    """
    import torch
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for file in _weight_files(Path(source), variant):
        read_header(file)
        try:
            # `load_file` maps the file: writing to it later would change or crash the model.
            state |= {name: tensor.clone() for name, tensor in load_file(file).items()}
        except (SafetensorError, OSError) as e:
            raise CheckpointError(f"{file}: {e}") from None
    for name, tensor in state.items():
        require_finite(source, name, bool(torch.isfinite(tensor).all()))
    return state


def read_arrays(source: str | Path) -> dict[str, np.ndarray]:
    """`read_tensors` without torch: numpy arrays, bfloat16 widened to float32.

    Raises:
        MissingInput, CheckpointError: as `read_tensors`.
    """
    arrays: dict[str, np.ndarray] = {}
    for file in _weight_files(Path(source)):
        header = read_header(file)
        with file.open("rb") as stream:
            for name, entry in header.tensors.items():
                stream.seek(entry.begin)
                array = _array(entry, stream.read(entry.end - entry.begin))
                require_finite(source, name, bool(np.isfinite(array).all()))
                arrays[name] = array
    return arrays


def _array(entry: TensorEntry, data: bytes) -> np.ndarray:
    array = np.frombuffer(data, NUMPY_TYPES[entry.dtype])
    if entry.dtype == "BF16":  # the upper half of a float32
        array = (array.astype("<u4") << 16).view("<f4")
    return array.reshape(entry.shape)


def torch_dtype(value: object) -> torch.dtype:
    """A floating type given as a `torch.dtype` or by its name.

    Raises:
        UsageError: it is none of the known types.
    """
    import torch

    try:
        dtype: torch.dtype = getattr(torch, str(dtype_name(value)))
    except ConfigError as e:
        raise UsageError(f"{e}, or 'auto'") from None
    return dtype


def require_finite(source: str | Path, name: str, finite: bool) -> None:
    """Refuse a tensor with NaN or infinity."""
    if not finite:
        raise CheckpointError(f"{source}: tensor {name!r} contains NaN or infinity")


def _weight_files(source: Path, variant: str | None = None) -> list[Path]:
    """The safetensors files that contain a model: the file itself, one in the folder, or shards."""
    if not source.is_dir():
        if source.suffix in PICKLE_SUFFIXES:
            raise CheckpointError(f"{source}: a pickle is never loaded directly; {_advice(source)}")
        return [source]
    whole, index = _named(WEIGHTS_NAME, variant), _named(INDEX_NAME, variant)
    if (source / whole).is_file():
        return [source / whole]
    if (source / index).is_file():
        return _shards(source / index)
    pickles = sorted(file.name for file in source.iterdir() if file.suffix in PICKLE_SUFFIXES)
    if pickles:
        raise CheckpointError(
            f"{source}: contains only {pickles[0]}, a pickle, which is never loaded directly; "
            f"{_advice(source)}"
        )
    raise MissingInput(f"{source}: no {whole} in this folder")


def _named(name: str, variant: str | None) -> str:
    """A file's name with the variant before its suffix: `model.fp16.safetensors`."""
    stem, suffix = name.rsplit(".", 1)
    return name if variant is None else f"{stem}.{variant}.{suffix}"


def _advice(source: Path) -> str:
    return f"run `glpn convert {source} NEW_FOLDER` first"


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


def write_model(
    folder: Path,
    config: GLPNConfig,
    state: Mapping[str, Tensor],
    *,
    max_shard_size: int | str | None = None,
    variant: str | None = None,
) -> None:
    """Write `config.json` and `model.safetensors`, whole or not at all.

    The configuration says `dtype: float32` for weights stored in half precision too: transformers
    would otherwise compute in halves, and fail on float32 pixels.

    Args:
        folder: created if it does not exist.
        config: the network's configuration.
        state: tensors under their names on disk.
        max_shard_size: bytes, or a string such as "200MB", above which the weights are split into
            several files with an index; None never splits.
        variant: goes into the file's name, as in `model.fp16.safetensors`.

    Raises:
        CannotCreateOutput: the folder cannot be made or written.
        OutputFailed: the disk is full or failed; the previous files are intact.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    folder = require_writable_folder(folder)
    double = any(str(tensor.dtype) == "torch.float64" for tensor in tensors.values())
    config = config.replace(dtype="float64" if double else "float32")
    with atomic_file(folder / CONFIG_NAME, overwrite=True) as config_file:
        config_file.write(config.to_json().encode())
        config_file.flush()  # reveals a full disk before the weights are renamed
        whole, index = (folder / _named(name, variant) for name in (WEIGHTS_NAME, INDEX_NAME))
        parts = _parts(tensors, whole.name, max_shard_size)
        if len(parts) == 1:
            _write_tensors(whole, tensors)
            index.unlink(missing_ok=True)
        else:
            _write_shards(index, parts)
            whole.unlink(missing_ok=True)  # readers would prefer this file


def _parts(
    tensors: Mapping[str, Tensor], name: str, limit: int | str | None
) -> dict[str, dict[str, Tensor]]:
    """Divide the tensors into files, each within the limit if its tensors allow it."""
    if limit is None:
        return {name: dict(tensors)}
    from huggingface_hub import split_torch_state_dict_into_shards

    pattern = name.replace(".safetensors", "{suffix}.safetensors")
    split = split_torch_state_dict_into_shards(
        dict(tensors), filename_pattern=pattern, max_shard_size=limit
    )
    return {
        file: {key: tensors[key] for key in keys}
        for file, keys in split.filename_to_tensors.items()
    }


def _write_shards(index: Path, parts: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write each part, then the index that names them."""
    for name, tensors in parts.items():
        _write_tensors(index.parent / name, tensors)
    weight_map = {key: name for name, tensors in parts.items() for key in tensors}
    size = sum(t.numel() * t.element_size() for part in parts.values() for t in part.values())
    values = {"metadata": {"total_size": size}, "weight_map": weight_map}
    write_file(index, (json.dumps(values, indent=2, sort_keys=True) + "\n").encode())


def _write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save

    write_file(file, _ordered(save(dict(tensors), {"format": "pt", **FORMAT_METADATA})))


def _ordered(data: bytes) -> bytes:
    """A safetensors file with its metadata sorted by name.

    The library writes them in random order, and equal weights would have different hashes.
    """
    end = 8 + int.from_bytes(data[:8], "little")  # end of the header: its length, then JSON
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    padded = text.ljust(-(-len(text) // 8) * 8)  # tensors begin at multiples of 8 bytes
    return len(padded).to_bytes(8, "little") + padded + data[end:]


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal; cached until the file changes.

    Raises:
        MissingInput: the file does not exist.
        CheckpointError: it cannot be read, or could make the reader wait: a named pipe, a device.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path}: not a regular file")
        if time.time_ns() - status.st_mtime_ns < _RACY:
            return _hash(path)
        return _known_hash(path, status.st_ino, status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    except OSError as e:
        raise CheckpointError(f"{path}: cannot be read: {e.strerror}") from None


def weights_hash(folder: str | Path) -> str:
    """SHA-256 of a model's weights; of several files, that of their digests in order.

    Raises:
        MissingInput, CheckpointError: a file is missing or cannot be read.
    """
    whole, index = Path(folder, WEIGHTS_NAME), Path(folder, INDEX_NAME)
    if whole.is_file() or not index.is_file():
        return file_hash(whole)
    return hashlib.sha256("".join(map(file_hash, _shards(index))).encode()).hexdigest()


def settings_hash(folder: str | Path) -> str:
    """SHA-256 of the settings in a model's folder: its configuration and its processor's.

    Layout and order of the JSON files do not matter.

    Raises:
        MissingInput, ConfigError: a file cannot be read.
    """
    paths = (Path(folder, name) for name in (CONFIG_NAME, PROCESSOR_NAME))
    settings = {path.name: read_json(path) for path in paths if path.is_file()}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(2**20), b""):
            digest.update(block)
    return digest.hexdigest()


@functools.lru_cache(maxsize=64)
def _known_hash(path: Path, *_identity: int) -> str:
    return _hash(path)
