"""`glpn export`: the network in the form that other run times take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import console, options

app = typer.Typer(no_args_is_help=True, help="Write the network for other run times.")


@app.command("onnx", no_args_is_help=True)
def onnx(
    folder: Annotated[
        Path, typer.Argument(help="A model's folder: config.json and model.safetensors.")
    ],
    portable: Annotated[
        bool,
        typer.Option(
            help="Standard operators only, for run times other than onnxruntime; attention then "
            "takes memory with the square of the pixels."
        ),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Write `model.onnx` beside a model's weights, which it points into.

    Example:

      glpn export onnx my-model
    """
    from glpn.export.onnx import write_graph

    path = write_graph(folder, portable=portable)
    console.say_facts({"written": str(path), "bytes": path.stat().st_size}, as_json=as_json)
