"""Convert checkpoints from other projects to glpn's folders, and back.

Sources: the authors' GLPN files, Hugging Face GLPN folders with a pickle, ImageNet MiT files and
Hugging Face SegFormer encoders; each also as saved by Lightning, or nested under "state_dict",
"model_state_dict" or "model". No other code opens a pickle.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from glpn.errors import CheckpointError, MissingDependency, MissingInput, UsageError
from glpn.files import atomic_file, require_writable_folder
from glpn.network.config import CONFIG_NAME, PRESETS, GLPNConfig
from glpn.records import read_json
from glpn.weights.card import CARD_NAME, inherited_card, read_card, stated_terms
from glpn.weights.hub import resolve
from glpn.weights.integrity import signing
from glpn.weights.names import ENCODER_PREFIX, rename, require_match, to_memory_names
from glpn.weights.pickles import read_pickle
from glpn.weights.shapes import expected_shapes, inferred_fields
from glpn.weights.store import (
    PICKLE_NAME,
    PICKLE_SUFFIXES,
    PROCESSOR_NAME,
    WEIGHTS_NAME,
    read_tensors,
    require_finite,
    write_model,
)

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

_ASSUMED_MAX_DEPTH = 10.0  # metres; NYU Depth V2
# Parts of other networks around the encoder: ImageNet's classifier, SegFormer's heads.
_FOREIGN_PARTS: Mapping[Kind, tuple[str, ...]] = {
    "authors": (),
    "mit": ("head.",),
    "huggingface": (),
    "segformer": ("classifier.", "decode_head."),
}


@dataclass(frozen=True)
class Conversion:
    """The result of `convert`.

    Attributes:
        kind: the origin of the source.
        config: of the network; `config.variant` names its preset.
        encoder_only: the source has no decoder.
        read, written: numbers of tensors.
        destination: the folder or file written.
        notes: sentences about assumptions and omissions.
    """

    kind: Kind
    config: GLPNConfig
    encoder_only: bool
    read: int
    written: int
    destination: Path
    notes: tuple[str, ...]


class _Source(NamedTuple):
    """A checkpoint, with its tensors under the names of glpn's files."""

    path: Path
    kind: Kind
    state: dict[str, Tensor]
    read: int
    notes: list[str]

    @property
    def encoder_only(self) -> bool:
        return all(name.startswith(ENCODER_PREFIX) for name in self.state)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self.state.items()}


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    form: Literal["hf", "authors"] = "hf",
    variant: str | None = None,
    max_depth: float | None = None,
) -> Conversion:
    """Convert a checkpoint from another project into a folder for glpn and transformers, or back.

    Args:
        source: a `.ckpt`, `.pth`, `.bin` or `.safetensors` file, or a folder with one.
        destination: folder to write; with `form="authors"` the `.ckpt` file to write.
        form: "hf" writes `config.json`, `model.safetensors` and, for a whole network,
            `preprocessor_config.json`; "authors" the authors' names in a pickled state dict.
        variant: "b0" to "b5", to check; it follows from the shapes.
        max_depth: metres at the sigmoid's 1; the source's, or 10, if None.

    Raises:
        UsageError: an unknown form, or a network that the authors' names cannot express.
        MissingInput: the source does not exist.
        CheckpointError, ConfigError: the source is damaged, unsafe, or another kind of network.
        CannotCreateOutput, OutputFailed: the destination cannot be written.
    """
    if form not in ("hf", "authors"):
        raise UsageError(f"form: expected 'hf' or 'authors', got {form!r}")
    if find_spec("torch") is None:
        raise MissingDependency("converting checkpoints needs torch", extra="torch")
    found = _read(Path(source))
    config = _config(found, max_depth)
    if variant is not None and config.variant != variant:
        known = ", ".join(PRESETS)
        raise CheckpointError(
            f"{source}: asked for variant {variant!r} (of {known}); the tensors are those of "
            f"{config.variant!r}, depths {list(config.depths)}, widths {list(config.hidden_sizes)}"
        )
    if form == "authors":
        _require_expressible(found, config)
    _require_sound(found, config)
    if form == "hf":
        written = _write_folder(found, config, Path(destination))
    else:
        written = _write_authors(found, Path(destination))
    _pass_terms_on(found, Path(destination), form)
    return Conversion(
        kind=found.kind,
        config=config,
        encoder_only=found.encoder_only,
        read=found.read,
        written=written,
        destination=Path(destination),
        notes=tuple(found.notes),
    )


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


def _read(path: Path) -> _Source:
    """Read a folder or a file of any known kind."""
    if not path.exists():
        raise MissingInput(f"{path}: no such file or folder")
    if path.is_dir() and not (path / WEIGHTS_NAME).exists() and (path / PICKLE_NAME).exists():
        return _normalise(path, read_pickle(path / PICKLE_NAME))
    if path.suffix in PICKLE_SUFFIXES and not path.is_dir():
        return _normalise(path, read_pickle(path))
    return _normalise(path, read_tensors(path))


def _normalise(path: Path, state: dict[str, Tensor]) -> _Source:
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
    return _Source(path, kind, whole, found, notes)


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
    return bare and _config_values(path).get("model_type") == "segformer"


def _config_values(path: Path) -> dict[str, object]:
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


def _to_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `_from_authors`: key above value in one matrix."""
    import torch

    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        authors = rename(name.removeprefix(ENCODER_PREFIX), source="disk", target="authors")
        if authors is None:
            raise UsageError(f"the authors' format has no name for {name}")
        module, _, leaf = authors.rpartition(".")
        if module.endswith(".attn.k"):
            value = state[name.replace(".self.key.", ".self.value.")]
            renamed[f"{module}v.{leaf}"] = torch.cat((tensor, value))
        elif not module.endswith(".attn.v"):
            renamed[authors] = tensor.contiguous()
    return renamed


def _config(found: _Source, max_depth: float | None) -> GLPNConfig:
    """The configuration of the source, or the one that its tensors imply."""
    values = _config_values(found.path) if found.kind in ("huggingface", "segformer") else {}
    inferred = inferred_fields(found.shapes, source=str(found.path))
    if found.kind == "huggingface" and values:
        config = GLPNConfig.from_dict(values)
    else:
        for key in ("num_attention_heads", "hidden_act"):
            if key in values:
                inferred[key] = values[key]
        convention = "authors" if found.kind in ("authors", "mit") else "transformers"
        config = GLPNConfig(**inferred, layer_norm_convention=convention)
        if max_depth is None and not found.encoder_only:
            found.notes.append(
                f"max_depth is not in the source: {_ASSUMED_MAX_DEPTH:g} m assumed (KITTI needs 80)"
            )
            max_depth = _ASSUMED_MAX_DEPTH
    if found.encoder_only:
        config = config.replace(architectures=["GLPNModel"])
    return config if max_depth is None else config.replace(max_depth=max_depth)


def _require_sound(found: _Source, config: GLPNConfig) -> None:
    """Require exactly the network's tensors, floating and finite."""
    import torch

    expected = expected_shapes(config, encoder_only=found.encoder_only)
    require_match(found.state, expected, source=str(found.path))
    for name, tensor in found.state.items():
        if not tensor.is_floating_point() and not name.endswith("num_batches_tracked"):
            raise CheckpointError(
                f"{found.path}: tensor {name!r}: expected a floating dtype, got {tensor.dtype}"
            )
        require_finite(found.path, name, bool(torch.isfinite(tensor).all()))


def _require_expressible(found: _Source, config: GLPNConfig) -> None:
    """Refuse a network that the authors' code cannot build, before any work.

    Raises:
        UsageError: the message names the field that prevents it.
    """
    width, first = config.decoder_hidden_size, config.hidden_sizes[0]
    reasons = []
    if not found.encoder_only and width != first:
        reasons.append(
            f"decoder_hidden_size {width} is not the first of hidden_sizes, {first}: their decoder "
            "has no projection for the shallowest map"
        )
    if config.fusion != "selective":
        reasons.append(f"fusion {config.fusion!r}: theirs is always selective")
    if config.hidden_act != "gelu":
        reasons.append(f"hidden_act {config.hidden_act!r}: theirs is always gelu")
    if reasons:
        raise UsageError(
            f"{found.path}: cannot be written in the authors' format: {'; '.join(reasons)}; "
            "convert it to a folder (hf) instead"
        )


def _write_folder(found: _Source, config: GLPNConfig, destination: Path) -> int:
    with signing(destination, CONFIG_NAME, WEIGHTS_NAME):
        write_model(destination, config, found.state)
    if not found.encoder_only:
        _processor(found.path).save_pretrained(destination)
    return len(found.state)


def _pass_terms_on(found: _Source, destination: Path, form: str) -> None:
    """Note the terms that the source folder's card states; a folder also gets a card with them."""
    terms = stated_terms(read_card(found.path))
    if not terms:
        return
    found.notes.append(f"the terms of {found.path} apply: {terms}")
    if form == "hf" and destination.resolve() != found.path.resolve():
        sources = {found.path.name: found.path}
        card = inherited_card(destination.resolve().name, sources, "Converted") or ""
        with atomic_file(destination / CARD_NAME, overwrite=True) as stream:
            stream.write(card.encode())


def _processor(path: Path) -> Any:
    """The source folder's processor, or the default one."""
    from glpn.processing.processor import GLPNImageProcessor

    if (path / PROCESSOR_NAME).is_file():
        return GLPNImageProcessor.from_pretrained(path)
    return GLPNImageProcessor()


def _write_authors(found: _Source, destination: Path) -> int:
    import torch

    state = _to_authors(found.state)
    whole = io.BytesIO()  # torch's writer hides why a write fails
    torch.save(state, whole)
    require_writable_folder(destination.parent)
    with atomic_file(destination, overwrite=True) as stream:
        stream.write(whole.getbuffer())
    return len(state)
