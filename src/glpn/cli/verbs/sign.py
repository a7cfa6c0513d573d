"""`glpn sign`: accepts the current files of a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import console, options

_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder.")]


def sign(folder: _Folder, as_json: options.AsJson = False) -> None:
    """Rewrite checksums.json after you changed a model's folder on purpose.

    A folder opens only if its weights, graphs and records match these checksums. Sign a folder
    only if you know why it changed.

    Example:

      glpn sign my-model
    """
    from glpn import weights

    weights.require_changeable(folder)
    console.print_facts({"written": str(weights.sign(folder))}, as_json=as_json)
