"""`glpn verify`: checks whether a folder computes the published values."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import console, options
from glpn.errors import CheckpointError

_Folder = Annotated[
    str, typer.Argument(metavar="FOLDER", help="The published weights: a folder or a hub id.")
]
_Photo = Annotated[
    Path, typer.Argument(metavar="PHOTO", help="The COCO photo 000000039769.jpg (val2017).")
]


def verify(folder: _Folder, photo: _Photo, as_json: options.AsJson = False) -> None:
    """Compare the depth of published weights with the known values for one photo.

    The command prints which of the two published checkpoints (NYU, KITTI) the folder holds. Exit
    code 65 means that its depth deviates from both.

    Examples:

      glpn verify vinvino02/glpn-nyu 000000039769.jpg
    """
    from glpn.evaluation.fidelity import compare

    found = compare(folder, photo)
    console.print_facts(dataclasses.asdict(found), as_json=as_json)
    if not found.matches:
        raise CheckpointError(
            f"{folder}: the depth of {photo} deviates from {found.nearest} by "
            f"{found.deviation:.2g} m; expected at most {found.tolerance:.0e} m"
        )
