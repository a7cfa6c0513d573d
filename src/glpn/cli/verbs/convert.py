"""`glpn convert`: converts checkpoints from other projects to glpn's folders, and back."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options
from glpn.errors import CannotCreateOutput, MissingDependency, UsageError

if TYPE_CHECKING:
    from glpn.weights.conversion import Conversion


class Form(str, Enum):
    """The formats that `glpn convert` writes."""

    hf = "hf"
    authors = "authors"


_Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help=(
            "A .ckpt of the authors, an ImageNet mit_b*.pth, a GLPN or SegFormer folder or "
            "file from Hugging Face, or a model folder of glpn."
        ),
    ),
]
_Destination = Annotated[
    Path, typer.Argument(metavar="DEST", help="Folder to write; a file with --to authors.")
]
_To = Annotated[
    Form, typer.Option(help="hf: a folder for glpn and transformers; authors: their .ckpt.")
]
_MaxDepth = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help="Maximum depth of the model, which a .ckpt does not state: 80 for KITTI.",
    ),
]


def convert(
    source: _Source,
    destination: _Destination,
    to: _To = Form.hf,
    max_depth: _MaxDepth = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Convert a checkpoint from another project into a folder that glpn loads, or back.

    This is the only command that opens a pickle. It never runs code from one.

    Examples:

      glpn convert glpn_nyu.ckpt my-model
      glpn convert glpn_kitti.ckpt my-outdoor-model --max-depth 80
      glpn convert my-model my-model.ckpt --to authors
    """
    from glpn.weights import conversion

    if max_depth is not None and not max_depth > 0:
        raise UsageError(f"--max-depth: expected metres above 0, got {max_depth:g}")
    if not overwrite:
        _require_free(destination)
    done = conversion.convert(source, destination, form=to.value, max_depth=max_depth)
    notes = list(done.notes)
    if to is Form.hf:
        notes.append(_write_graph(done))
    console.print_facts(_record(source, done, notes), as_json=as_json)


def _require_free(destination: Path) -> None:
    """Refuse to replace a model or a file; a folder without a model is a valid destination.

    Raises:
        CannotCreateOutput: the destination contains a model or is a file.
    """
    from glpn.weights import CONFIG_NAME, WEIGHTS_NAME

    taken = destination
    if destination.is_dir():
        taken = next(
            (destination / n for n in (WEIGHTS_NAME, CONFIG_NAME) if (destination / n).exists()),
            Path(),
        )
    if taken != Path() and taken.exists():
        raise CannotCreateOutput(f"{taken}: exists already; --overwrite replaces it")


def _write_graph(done: Conversion) -> str:
    """Write `model.onnx` if the model and the installation allow it; return a note for the user."""
    if done.encoder_only:
        return "encoder only, to start training from; no graph for onnxruntime was written"
    try:
        from glpn.export.onnx import write_graph
    except MissingDependency as e:
        return f"no graph for onnxruntime was written: {e}"
    return f"{write_graph(done.destination).name} was written for onnxruntime"


def _record(source: Path, done: Conversion, notes: list[str]) -> dict[str, object]:
    return {
        "source": str(source),
        "found": done.kind,
        "variant": done.config.variant,
        "encoder_only": done.encoder_only,
        "max_depth": done.config.max_depth,
        "layer_norm_convention": done.config.layer_norm_convention,
        "tensors_read": done.read,
        "tensors_written": done.written,
        "destination": str(done.destination),
        "notes": notes,
    }
