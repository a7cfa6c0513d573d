"""`glpn reproduce paper`: measures the paper's figures again and shows both side by side."""

from __future__ import annotations

from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import console, options
from glpn.cli.verbs import evaluate_options as asked
from glpn.errors import MissingInput, worst

_TABLE = "paper.md"


class Work(str, Enum):
    """The works that can be reproduced."""

    paper = "paper"


_Work = Annotated[
    Work, typer.Argument(metavar="paper", help="Whose figures: those of the GLPN paper.")
]
_Data = Annotated[
    Path,
    typer.Option(
        metavar="DIR", help="Folder that holds some of nyu/, kitti/, sunrgbd/, ibims/; or one set."
    ),
]
_Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A model for all sets within its range; the published checkpoints if not given.",
        show_default=False,
        rich_help_panel=options.MODEL,
    ),
]


def reproduce(
    _work: _Work,
    data: _Data,
    model: _Model = "",
    output: asked.Output = None,
    limit: asked.Limit = None,
    overwrite: asked.Overwrite = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    max_depth: options.MaxDepth = None,
    engine: options.Engine = options.EngineName.auto,
    device: options.Device = "auto",
    threads: options.Threads = None,
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

    if output is not None:
        names = (_TABLE, *(f"{s.dataset}.json" for s in PAPER))
        require_free(output, names, overwrite=overwrite)
    common = {"engine": engine.value, "device": device, "threads": threads}
    run = Run(
        folders=find(data),
        model=model,
        max_depth=max_depth,
        common=common,
        limit=limit,
        say=lambda sentence: None if quiet else console.note(console.escaped(sentence)),
        progress=partial(console.progress, quiet=quiet),
    )
    for one in PAPER:
        run.measure(one)
    if not run.measured and not run.failures:
        raise MissingInput(f"{data}: none of the paper's sets; " + "; ".join(run.missing.values()))
    table = run.to_markdown()
    if as_json:
        console.print_json(run.record())
    elif not quiet:
        say_markdown(table)
    if output is not None:
        results = {f"{one.dataset}.json": r.to_json() for one, r in run.measured}
        write_files(output, {_TABLE: table, **results}, quiet=quiet)
    raise typer.Exit(worst(error.exit_code for error in run.failures))
