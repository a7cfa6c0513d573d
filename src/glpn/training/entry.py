"""The door: `train`.

torch is imported only when the run's folder is ours: a second writer is told so at once.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from glpn.errors import MissingDependency
from glpn.training.lock import run_lock
from glpn.training.recipe import Recipe

if TYPE_CHECKING:
    from glpn.training.loop import Result


def train(recipe: Recipe, *, resume: bool = False) -> Result:
    """Train as a recipe says; a killed run that is resumed ends as if nothing had happened.

    SIGINT and SIGTERM end it after the step at hand, with a checkpoint. Processes that read
    frames (run.workers) import the caller's main module anew: a script needs its
    `if __name__ == "__main__"`.

    Args:
        recipe: `recipe.read_recipe` reads one.
        resume: go on with the run in `run.folder`, if there is one.

    Raises:
        CannotCreateOutput: the folder holds a run and `resume` is False, another process trains
            there, or it cannot be written.
        ConfigError, UsageError: the recipe is impossible, or not that of the run to resume.
        MissingInput, InvalidImage, DataError: frames are not there or unusable; the loss is not
            finite. The message names the frames.
        CheckpointError: no checkpoint of the run to resume is sound.
        MissingDependency: torch is not installed.
        OutputFailed: the disk is full or failed; the last checkpoint is intact.
    """
    if find_spec("torch") is None:
        raise MissingDependency("training needs torch: pip install 'glpn[train]'")
    first = os.environ.get("RANK", "0") == "0"  # under torchrun, only one process writes
    with run_lock(Path(recipe.run.folder)) if first else nullcontext():
        from glpn.training.run import run

        return run(recipe, resume=resume)
