"""`glpn info` and `glpn models`: describe models and depth files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glpn.cli import console, options
from glpn.engines.registry import usable_engines

if TYPE_CHECKING:
    from glpn.weights.model_info import ModelInfo


def info(
    source: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|FILE",
            help=(
                "A model (bundled name, folder, file or hub id), or a depth file (PNG, NPZ, "
                "EXR or TIFF)."
            ),
        ),
    ],
    scale: Annotated[
        float | None,
        typer.Option(
            help=(
                "Units per metre of a depth file that does not state them: 1000 for "
                "millimetres, 256 for KITTI, 1 for metres."
            )
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Describe a model or a depth file.

    Examples:

      glpn info depth/kitchen.png
      glpn info vinvino02/glpn-nyu
    """
    from glpn.weights import model_info

    path = Path(source)
    if path.is_file() and path.suffix not in model_info.MODEL_SUFFIXES:
        record = {"depth": source, **model_info.depth_record(path, scale=scale)}
        lines = _depth_lines(record)
    else:
        found = model_info.ModelInfo.of(model_info.model_folder(source))
        engines = usable_engines(found.folder)
        record = {"model": source, **found.record(), "engines": list(engines)}
        lines = {"model": source, **_model_lines(found, engines)}
    console.print_facts(record if as_json else lines, as_json=as_json)


def models(as_json: options.AsJson = False) -> None:
    """List the models that come with glpn."""
    from glpn import weights
    from glpn.weights.model_info import ModelInfo

    found = {name: ModelInfo.of(folder) for name, folder in weights.bundled().items()}
    if as_json:
        for name, model in found.items():
            engines = list(usable_engines(model.folder))
            console.print_json({"model": name, **model.record(), "engines": engines})
        return
    if found:
        _say_table(found)
    else:
        console.print_line("No model comes with this installation.")
    console.print_line("Any other: -m FOLDER, or the id of one on the Hugging Face hub, user/name.")


def _say_table(found: dict[str, ModelInfo]) -> None:
    heads = ("model", "variant", "parameters", "range", "size", "terms")
    rows = [heads] + [
        (
            name,
            model.config.variant,
            _millions(model.parameters),
            f"{model.config.max_depth:g} m",
            _size(sum(model.sizes.values())),
            model.terms or "see its card",
        )
        for name, model in found.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print_line(console.escaped(line.rstrip()))


def _model_lines(model: ModelInfo, engines: tuple[str, ...]) -> dict[str, object]:
    sizes = ", ".join(f"{name} {_size(size)}" for name, size in model.sizes.items())
    return {
        "folder": model.folder,
        "variant": model.config.variant,
        "parameters": _millions(model.parameters),
        "range": f"up to {model.config.max_depth:g} m",
        "LayerNorm": f"as {model.config.layer_norm_convention}' code",
        "sha256": model.sha256 or "several files",
        "files": sizes,
        "engines": ", ".join(engines) or "none is installed",
        "terms": model.terms or "not stated",
    }


def _depth_lines(record: dict[str, Any]) -> dict[str, object]:
    said = record["says"]
    lines: dict[str, object] = {
        "depth": record["depth"],
        "size": f"{record['width']}x{record['height']}",
        "known": f"{100 * record['known']:.4g} % of the pixels",
    }
    if "median" in record:
        lines["range"] = f"{record['min']:.4g} to {record['max']:.4g} m"
        lines["median"] = f"{record['median']:.4g} m"
    if not said:
        return {**lines, "origin": "not written by glpn"}
    lines |= {key: value for key, value in said.items() if value != "" and key != "camera"}
    camera = said.get("camera")
    if isinstance(camera, dict):
        lines["camera"] = ", ".join(f"{key} {_short(value)}" for key, value in camera.items())
    return lines


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
