"""`glpn reproduce paper`: measures the paper's figures again and shows both side by side."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import console, options
from glpn.cli.verbs import evaluate_options as asked
from glpn.errors import MissingInput, UsageError, worst

_TABLE = "paper.md"


class Work(str, Enum):
    """The works that can be reproduced."""

    paper = "paper"


_Work = Annotated[
    Work, typer.Argument(metavar="paper", help="The figures to reproduce: those of the GLPN paper.")
]
_Data = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help=(
            "Folder that contains some of nyu/, kitti/, sunrgbd/ and ibims/; or the folder of "
            "one dataset."
        ),
    ),
]
_Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A model for all datasets within its range. Default: the published checkpoints.",
        show_default=False,
        rich_help_panel=options.MODEL,
    ),
]


@dataclass(frozen=True)
class _ModelGroup(options.Float32ModelGroup):
    model: _Model = ""


@options.grouped
def reproduce(
    _work: _Work,
    data: _Data,
    *,
    model: _ModelGroup,
    output: asked.Output = None,
    limit: asked.Limit = None,
    overwrite: asked.Overwrite = False,
    printed: options.Printed,
) -> None:
    """Measure the paper's figures on the available datasets and compare.

    Datasets are recognised by their files. Missing ones are listed by name.

    Examples:

      glpn reproduce paper --data datasets
      glpn reproduce paper --data datasets -m MODEL -o results
    """
    from glpn.cli.verbs.evaluate_output import say_markdown, write_files
    from glpn.evaluation.published import PAPER
    from glpn.evaluation.reproduce import Run, find
    from glpn.evaluation.scoring import require_free

    if model.max_depth is not None and not model.model:
        raise UsageError("--max-depth: needs -m; the published checkpoints have their own range")
    if output is not None:
        names = (_TABLE, *(f"{s.dataset}.json" for s in PAPER))
        require_free(output, names, overwrite=overwrite)
    run = Run(
        folders=find(data),
        model=model.model,
        max_depth=model.max_depth,
        common=model.engine_options(),
        limit=limit,
        say=lambda sentence: None if printed.quiet else console.note(console.escaped(sentence)),
        progress=partial(console.progress, quiet=printed.quiet),
    )
    for one in PAPER:
        run.measure(one)
    if not run.measured and not run.failures:
        raise MissingInput(f"{data}: none of the paper's sets; " + "; ".join(run.missing.values()))
    table = run.to_markdown()
    if output is not None:
        results = {f"{one.dataset}.json": r.to_json() for one, r in run.measured}
        write_files(output, {_TABLE: table, **results}, quiet=printed.quiet)
    if printed.as_json:
        console.print_json(run.record())
    elif not printed.quiet:
        say_markdown(table)
    raise typer.Exit(worst(error.exit_code for error in run.failures))
