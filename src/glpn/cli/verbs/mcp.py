"""`glpn mcp`: tools for assistants over the Model Context Protocol."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from glpn.cli import console, options
from glpn.concurrency import stop_signals
from glpn.errors import MissingDependency, MissingInput

_MANY_PHOTOS = 1000  # enough to select the fastest engine, even if it starts slowly


@options.grouped
def mcp(
    root: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Folder that contains the photos; photos outside it are not read.",
        ),
    ] = Path(),
    *,
    model: options.ModelGroup,
) -> None:
    """Let an assistant measure in photos: a Model Context Protocol server over standard input.

    An assistant starts this command and calls its tools: photo_depth summarises the metres of a
    photo, photo_length measures between two pixels. It ends with its input.

    Examples:

      glpn mcp --root ~/Pictures
    """
    try:
        from glpn.serving.model_context import make_server
    except ImportError as e:
        raise MissingDependency(f"mcp needs {e.name}", extra="mcp") from e
    from glpn.estimator import DepthEstimator

    if not root.is_dir():
        raise MissingInput(f"--root {root}: no such folder")
    estimator = DepthEstimator.open(model.engine_options(), photos=_MANY_PHOTOS)
    with stop_signals(_leave):
        make_server(estimator, root).run("stdio")


def _leave(number: int) -> NoReturn:
    """End at once: the thread that waits for standard input cannot be interrupted."""
    console.note_stopped()
    os._exit(128 + number)
