"""Convert checkpoints from other projects to glpn's folders, and back."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from glpn.errors import CheckpointError, MissingDependency, UsageError
from glpn.files import require_writable_folder, write_file
from glpn.network.config import CONFIG_NAME, PRESETS, GLPNConfig
from glpn.weights.card import CARD_NAME, inherited_card, read_card, stated_terms
from glpn.weights.foreign import ForeignCheckpoint, Kind, config_values, read_checkpoint
from glpn.weights.integrity import signing
from glpn.weights.names import ENCODER_PREFIX, rename, require_match
from glpn.weights.shapes import expected_shapes, inferred_fields
from glpn.weights.store import PROCESSOR_NAME, WEIGHTS_NAME, require_finite, write_model

if TYPE_CHECKING:
    from torch import Tensor

_ASSUMED_MAX_DEPTH = 10.0  # metres; NYU Depth V2


@dataclass(frozen=True)
class Conversion:
    """The result of `convert`.

    Attributes:
        kind: the origin of the source.
        config: the network's configuration; `config.variant` names its preset.
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
        max_depth: maximum depth in metres, where the sigmoid is 1; if None, that of the source,
            or 10.

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
    found = read_checkpoint(Path(source))
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


def _config(found: ForeignCheckpoint, max_depth: float | None) -> GLPNConfig:
    """The configuration of the source, or the one that its tensors imply."""
    values = config_values(found.path) if found.kind in ("huggingface", "segformer") else {}
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


def _require_sound(found: ForeignCheckpoint, config: GLPNConfig) -> None:
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


def _require_expressible(found: ForeignCheckpoint, config: GLPNConfig) -> None:
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


def _write_folder(found: ForeignCheckpoint, config: GLPNConfig, destination: Path) -> int:
    with signing(destination, CONFIG_NAME, WEIGHTS_NAME):
        write_model(destination, config, found.state)
    if not found.encoder_only:
        _processor(found.path).save_pretrained(destination)
    return len(found.state)


def _pass_terms_on(found: ForeignCheckpoint, destination: Path, form: str) -> None:
    """Note the terms that the source folder's card states; a folder also gets a card with them."""
    terms = stated_terms(read_card(found.path))
    if not terms:
        return
    found.notes.append(f"the terms of {found.path} apply: {terms}")
    if form == "hf" and destination.resolve() != found.path.resolve():
        sources = {found.path.name: found.path}
        card = inherited_card(destination.resolve().name, sources, "Converted") or ""
        write_file(destination / CARD_NAME, card.encode())


def _processor(path: Path) -> Any:
    """The source folder's processor, or the default one."""
    from glpn.processing.processor import GLPNImageProcessor

    if (path / PROCESSOR_NAME).is_file():
        return GLPNImageProcessor.from_pretrained(path)
    return GLPNImageProcessor()


def _to_authors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the authors' names; key above value in one matrix."""
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


def _write_authors(found: ForeignCheckpoint, destination: Path) -> int:
    import torch

    state = _to_authors(found.state)
    whole = io.BytesIO()  # torch's writer hides why a write fails
    torch.save(state, whole)
    require_writable_folder(destination.parent)
    write_file(destination, whole.getbuffer())
    return len(state)
