"""Open pickled checkpoints, for conversion only: tensors and plain containers, bounded."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from glpn.errors import CheckpointError, MissingDependency, MissingInput

if TYPE_CHECKING:
    from torch import Tensor

_MAX_FILE_BYTES = 4 * 2**30  # MiT-b5 with Adam's moments is 1 GB
_MAX_ENTRIES = 100_000
_MIN_TORCH = (2, 6)  # before, weights_only=True could run code (CVE-2025-32434)
_NESTED_UNDER = ("state_dict", "model_state_dict", "model")
_PARALLEL_PREFIX = "module."  # left by torch's DataParallel


def read_pickle(file: Path) -> dict[str, Tensor]:
    """The state dict in a `.bin`, `.pth` or `.ckpt` file, on the CPU, without "module.".

    Only tensors and plain containers are built. Sizes are checked first, and the data of a zip
    archive are mapped, not copied.

    Raises:
        MissingInput: the file does not exist.
        MissingDependency: torch is too old to open pickles safely.
        CheckpointError: the file is damaged or unsafe, or holds something else.
    """
    if not file.is_file():
        raise MissingInput(f"{file}: no such file")
    size = file.stat().st_size
    if size > _MAX_FILE_BYTES:
        raise CheckpointError(f"{file}: {size} bytes; at most {_MAX_FILE_BYTES} are accepted")
    mapped = _require_plain_archive(file, size) if zipfile.is_zipfile(file) else False
    state = _state_dict(file, _load(file, mapped=mapped))
    declared = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    if declared > size:  # views can repeat a few stored bytes without end
        raise CheckpointError(f"{file}: tensors of {declared} bytes in a file of {size}")
    return state


def _require_plain_archive(file: Path, size: int) -> bool:
    """Refuse archives that unpack to more than their size; torch never compresses."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as e:
        raise CheckpointError(f"{file}: damaged archive: {e}") from None
    declared = sum(entry.file_size for entry in entries)
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if declared > size or packed or len(entries) > _MAX_ENTRIES:
        raise CheckpointError(
            f"{file}: {len(entries)} entries declare {declared} bytes in a file of {size}"
            f"{', compressed' if packed else ''}: not a checkpoint that torch wrote"
        )
    return True


def _load(file: Path, *, mapped: bool) -> object:
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < _MIN_TORCH:
        raise MissingDependency(
            f"opening {file} safely needs torch >= 2.6, found {torch.__version__}: "
            "pip install --upgrade torch"
        )
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as e:
        # The message of torch explains how to switch the protection off; ours must not.
        culprit = re.search(r"GLOBAL ([\w.]+)", str(e))
        what = f" ({culprit[1]})" if culprit else ""
        raise CheckpointError(f"{file}: refused: contains more than plain tensors{what}") from None
    except Exception as e:  # a damaged pickle can raise anything
        raise CheckpointError(f"{file}: damaged, or no checkpoint: {type(e).__name__}") from None


def _state_dict(file: Path, contents: object) -> dict[str, Tensor]:
    """The mapping of names to tensors, at the top or one level below it."""
    import torch

    for key in _NESTED_UNDER:
        if isinstance(contents, Mapping) and isinstance(contents.get(key), Mapping):
            contents = contents[key]
    if not isinstance(contents, Mapping) or not contents:
        raise CheckpointError(f"{file}: expected a state dict, got {type(contents).__name__}")
    state = {}
    for name, tensor in contents.items():
        dense = isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided
        if not isinstance(name, str) or not dense or tensor.is_quantized or tensor.is_meta:
            raise CheckpointError(f"{file}: {str(name)[:200]!r} is no plain tensor with a name")
        state[name.removeprefix(_PARALLEL_PREFIX)] = tensor
    return state
