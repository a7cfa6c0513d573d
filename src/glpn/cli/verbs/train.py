"""`glpn train`: a recipe, from its first step or from where it ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import console, options

_BY_SIGNAL = 128  # plus the signal's number: the shell's exit code


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML file; see recipes/.")],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]…", help="Settings that replace the recipe's own."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in run.folder, if there is one.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Train or fine-tune a network by a recipe.

    A run that was killed goes on with --resume and ends with the same bits. SIGINT (Ctrl-C) and
    SIGTERM end it after the step at hand, with a checkpoint.

    Examples:

      glpn train recipes/finetune.toml data.train=my-frames
      glpn train recipes/finetune.toml data.train=my-frames loop.batch=4 --resume
      torchrun --nproc-per-node 2 -m glpn train recipes/nyu.toml data.train=nyu/sync
    """
    from glpn.training.entry import train as run
    from glpn.training.recipe import read_recipe

    result = run(read_recipe(recipe, changes or ()), resume=resume)
    metrics = {} if result.metrics is None else result.metrics._asdict()
    facts = {"run": str(result.folder), "step": result.step, "of": result.steps, **metrics}
    console.say_facts(facts, as_json=as_json)
    if result.stopped_by is not None:
        raise typer.Exit(_BY_SIGNAL + result.stopped_by)
