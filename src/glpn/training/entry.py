"""The doors: `train` for Python, `run_recipe` for the command line.

torch is imported only when the run's folder is ours: a second writer is told so at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from glpn.training.lock import run_lock
from glpn.training.recipe import Recipe, read_recipe

if TYPE_CHECKING:
    from glpn.training.loop import Result

_BY_SIGNAL = 128  # plus the signal's number: the shell's exit code


def train(recipe: Recipe, *, resume: bool = False) -> Result:
    """Train as a recipe says; a killed run that is resumed ends as if nothing had happened.

    SIGINT and SIGTERM end it after the step at hand, with a checkpoint. Processes that read
    frames (run.workers) import the caller's main module anew: a script needs its
    `if __name__ == "__main__"`.

    Args:
        recipe: `read_recipe` reads one.
        resume: go on with the run in `run.folder`, if there is one.

    Raises:
        CannotCreateOutput: the folder holds a run and `resume` is False, another process trains
            there, or it cannot be written.
        ConfigError, UsageError: the recipe is impossible, or not that of the run to resume.
        MissingInput, InvalidImage, DataError: frames are not there or unusable; the loss is not
            finite. The message names the frames.
        CheckpointError: no checkpoint of the run to resume is sound.
        OutputFailed: the disk is full or failed; the last checkpoint is intact.
    """
    first = os.environ.get("RANK", "0") == "0"  # under torchrun, only one process writes
    with run_lock(Path(recipe.run.folder)) if first else nullcontext():
        from glpn.training.session import run

        return run(recipe, resume=resume)


def run_recipe(path: str | Path, overrides: Sequence[str] = (), *, resume: bool = False) -> int:
    """Train by a recipe's file; returns the exit code: 0, or 128 + n after signal n.

    Raises:
        GLPNError: as `read_recipe` and `train`.
    """
    result = train(read_recipe(path, overrides), resume=resume)
    return 0 if result.stopped_by is None else _BY_SIGNAL + result.stopped_by
