"""`glpn train`: runs a recipe from its first step, or resumes it."""

from __future__ import annotations

import shlex
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options

if TYPE_CHECKING:
    from glpn.training import Result

_BY_SIGNAL = 128  # the exit code after a signal is this plus the signal's number
_DIGITS = 4  # decimals of the scores on the terminal


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="finetune, distill, nyu, kitti or smoke; or a TOML file."
        ),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]…", help="Settings that replace those of the recipe."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in run.folder, if there is one.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Train or fine-tune a network with a recipe.

    An interrupted run resumes with --resume and ends with the same bits. SIGINT (Ctrl-C) and
    SIGTERM stop it after the current step and save a checkpoint.

    Examples:

      glpn train finetune data.train=my-frames
      glpn train finetune data.train=my-frames loop.batch=4 --resume
      torchrun --nproc-per-node 2 -m glpn train nyu data.train=nyu/sync
    """
    from glpn.training import train as run

    console.expect_notes("glpn.data")
    result = run(recipe, changes or (), resume=resume)
    console.print_facts(_summary(result, exact=as_json), as_json=as_json)
    if result.stopped_by is not None:
        command = shlex.join(["glpn", "train", recipe, *(changes or ()), "--resume"])
        console.note(f"stopped by {signal.Signals(result.stopped_by).name}; resume with: {command}")
        raise typer.Exit(_BY_SIGNAL + result.stopped_by)
    if result.held_out is not None and result.data is not None:
        best, last = result.folder / "best", result.folder / "last"
        scored = best if best.is_dir() else last  # a copy of a run may lack the best model
        arguments = ["-m", str(scored), "--data", result.data]
        command = shlex.join(["glpn", "evaluate", *arguments, "--list", str(result.held_out)])
        console.note(f"score the held-out frames with: {command}")


def _summary(result: Result, *, exact: bool) -> dict[str, object]:
    """Return the result with rounded scores or, if `exact`, with all digits."""
    values: dict[str, object] = {
        "run": str(result.folder),
        "step": result.step,
        "of": result.steps,
    }
    if result.metrics is not None:
        scores = result.metrics._asdict()
        if not exact:
            scores = {name: round(value, _DIGITS) for name, value in scores.items()}
        values |= {"scores_of_step": result.validated, **scores}
    return values
