"""Read checkpoints of other projects, with their tensors under the names of glpn's files.

Sources: the authors' GLPN files, Hugging Face GLPN folders with a pickle, ImageNet MiT files and
Hugging Face SegFormer encoders; each also as saved by Lightning, or nested under "state_dict",
"model_state_dict" or "model". No other code opens a pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from glpn.errors import CheckpointError, MissingInput
from glpn.network.config import CONFIG_NAME
from glpn.records import read_json
from glpn.weights.hub import resolve
from glpn.weights.names import ENCODER_PREFIX, rename, to_memory_names
from glpn.weights.pickles import read_pickle
from glpn.weights.store import INDEX_NAME, PICKLE_NAME, PICKLE_SUFFIXES, WEIGHTS_NAME, read_tensors

if TYPE_CHECKING:
    from torch import Tensor

# The first tensor of each kind of checkpoint; longer names first.
_FIRST_TENSORS = (
    "segformer.encoder.patch_embeddings.0.proj.weight",
    "glpn.encoder.patch_embeddings.0.proj.weight",
    "encoder.patch_embeddings.0.proj.weight",
    "encoder.patch_embed1.proj.weight",
    "patch_embed1.proj.weight",
)

Kind = Literal["authors", "mit", "huggingface", "segformer"]

# Parts of other networks around the encoder: ImageNet's classifier, SegFormer's heads.
_FOREIGN_PARTS: Mapping[Kind, tuple[str, ...]] = {
    "authors": (),
    "mit": ("head.",),
    "huggingface": (),
    "segformer": ("classifier.", "decode_head."),
}


class ForeignCheckpoint(NamedTuple):
    """A checkpoint, with its tensors under the names of glpn's files."""

    path: Path
    kind: Kind
    state: dict[str, Tensor]
    read: int
    notes: list[str]

    @property
    def encoder_only(self) -> bool:
        """Whether it has no decoder."""
        return all(name.startswith(ENCODER_PREFIX) for name in self.state)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its tensors."""
        return {name: tuple(tensor.shape) for name, tensor in self.state.items()}


def encoder_state(source: str | Path) -> dict[str, Tensor]:
    """An encoder's tensors under the names of `GLPNModel` in memory, to start training from.

    Args:
        source: a GLPN or SegFormer folder with safetensors, a bundled name or a hub id; a pickle
            must be converted first.

    Raises:
        MissingInput, CheckpointError: as `resolve` and `read_tensors`.
    """
    folder = Path(source) if Path(source).exists() else resolve(source)
    found = _normalise(folder, read_tensors(folder))
    return to_memory_names(found.state, prefix=ENCODER_PREFIX)


def read_checkpoint(path: Path) -> ForeignCheckpoint:
    """Read a folder or a file of any known kind."""
    if not path.exists():
        raise MissingInput(f"{path}: no such file or folder")
    if path.is_dir() and not any((path / name).exists() for name in (WEIGHTS_NAME, INDEX_NAME)):
        pickle = _only_pickle(path)
        if pickle is not None:
            return _normalise(path, read_pickle(pickle))
    if path.suffix in PICKLE_SUFFIXES and not path.is_dir():
        return _normalise(path, read_pickle(path))
    return _normalise(path, read_tensors(path))


def _only_pickle(folder: Path) -> Path | None:
    """The pickle of a folder: the one with the usual name, or the only one; None without any."""
    found = sorted(file for file in folder.iterdir() if file.suffix in PICKLE_SUFFIXES)
    usual = folder / PICKLE_NAME
    if usual in found or len(found) < 2:
        return usual if usual in found else next(iter(found), None)
    names = ", ".join(file.name for file in found[:5])
    raise CheckpointError(f"{folder}: {len(found)} pickles ({names}); give the path of one")


def _normalise(path: Path, state: dict[str, Tensor]) -> ForeignCheckpoint:
    """Recognise the naming scheme, and give every tensor its name on disk."""
    found = len(state)
    state, outside = _unwrapped(state)
    kind = _kind(path, state)
    foreign = [name for name in state if name.startswith(_FOREIGN_PARTS[kind])]
    kept = {name: tensor for name, tensor in state.items() if name not in foreign}
    foreign += outside
    notes = []
    if foreign:
        notes.append(f"{len(foreign)} tensors outside the network were left out: {foreign[0]} …")
    if kind == "mit":
        kept = {f"encoder.{name}": tensor for name, tensor in kept.items()}
    if kind in ("authors", "mit"):
        kept = _from_authors(path, kept)
    elif kind == "segformer":
        kept = {name.removeprefix("segformer."): tensor for name, tensor in kept.items()}
    whole = {
        f"{ENCODER_PREFIX}{name}" if name.startswith("encoder.") else name: tensor
        for name, tensor in kept.items()
    }
    return ForeignCheckpoint(path, kind, whole, found, notes)


def _unwrapped(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Cut the prefix that a training module puts before its network, such as Lightning's "model.".

    Returns:
        The network's tensors, and the names of those outside it.
    """
    prefixes = {
        name.removesuffix(anchor)
        for anchor in _FIRST_TENSORS
        for name in state
        if name.endswith(f".{anchor}") or name == anchor
    }
    prefix = min(prefixes, key=len, default="")
    inside = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    return inside, [name for name in state if not name.startswith(prefix)]


def _kind(path: Path, state: Mapping[str, Tensor]) -> Kind:
    embed = "patch_embeddings.0.proj.weight"
    if "encoder.patch_embed1.proj.weight" in state:
        return "authors"
    if "patch_embed1.proj.weight" in state:
        return "mit"
    if f"segformer.encoder.{embed}" in state or _is_segformer(path, state):
        return "segformer"
    if f"glpn.encoder.{embed}" in state or f"encoder.{embed}" in state:
        return "huggingface"
    raise CheckpointError(
        f"{path}: no GLPN, MiT or SegFormer checkpoint: {len(state)} tensors, "
        f"{', '.join(list(state)[:5])} …"
    )


def _is_segformer(path: Path, state: Mapping[str, Tensor]) -> bool:
    """A bare SegformerModel has the names of a bare GLPNModel; its config tells them apart."""
    bare = "encoder.patch_embeddings.0.proj.weight" in state
    return bare and config_values(path).get("model_type") == "segformer"


def config_values(path: Path) -> dict[str, object]:
    """The `config.json` in or beside a source; empty if there is none."""
    file = (path if path.is_dir() else path.parent) / CONFIG_NAME
    values = read_json(file) if file.is_file() else {}
    return values if isinstance(values, dict) else {}


def _from_authors(path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' names to those on disk; their key-value matrices are split by rows."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        for part, piece in _split_key_value(path, name, tensor).items():
            renamed[rename(part, source="authors", target="disk") or part] = piece
    return renamed


def _split_key_value(path: Path, name: str, tensor: Tensor) -> dict[str, Tensor]:
    module, _, leaf = name.rpartition(".")
    if not module.endswith(".attn.kv"):
        return {name: tensor}
    if tensor.ndim == 0 or tensor.shape[0] % 2:
        raise CheckpointError(
            f"{path}: {name}: rows of shape {list(tensor.shape)} cannot be halved"
        )
    key, value = tensor.chunk(2)
    stem = module.removesuffix("kv")
    return {f"{stem}k.{leaf}": key, f"{stem}v.{leaf}": value}
