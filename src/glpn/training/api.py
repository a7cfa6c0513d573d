"""`train`: the public function. It imports torch only once the run's folder is locked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from glpn.errors import MissingDependency
from glpn.evaluation.metrics import Metrics
from glpn.files import require_writable_folder
from glpn.files.lock import file_lock
from glpn.training.recipe import Recipe, read_recipe

LOCK_NAME = "lock"


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        folder: the run's folder. It contains the models `best` and `last`, as far as they exist.
        step: updates made, out of `steps`.
        metrics: metrics of the last validation in this process, if there was one.
        validated: the step of that validation.
        best: the best value of the recipe's metric, if any.
        held_out: the list of frames that validation uses, if any.
        data: the folder that holds these frames.
        stopped_by: the signal that ended the run early.
        notes: messages for the user, such as damaged checkpoints.
    """

    folder: Path
    step: int
    steps: int
    metrics: Metrics | None = None
    validated: int | None = None
    best: float | None = None
    held_out: Path | None = None
    data: str | None = None
    stopped_by: int | None = None
    notes: tuple[str, ...] = ()


def train(
    recipe: Recipe | str | os.PathLike[str],
    changes: Sequence[str] = (),
    *,
    resume: bool = False,
) -> Result:
    """Train with a recipe.

    A run that was killed and resumed ends bit-identical to an uninterrupted run.

    SIGINT and SIGTERM end the run after the current step, with a checkpoint. The processes that
    read frames (`run.workers`) import the caller's main module, so a script needs its
    `if __name__ == "__main__"`.

    Args:
        recipe: a `Recipe`, a TOML file, or the name of a recipe that comes with glpn.
        changes: `section.key=value` each, applied to the recipe in order.
        resume: continue the run in `run.folder`, if there is one.

    Raises:
        CannotCreateOutput: the folder contains a run and `resume` is False, another process trains
            there, or the folder cannot be written.
        ConfigError, UsageError: the recipe is impossible, or it or the frames differ from those
            of the run to resume.
        MissingInput, InvalidImage, DataError: frames are missing or unusable, or the loss is not
            finite. The message names the frames.
        CheckpointError: all checkpoints of the run to resume are damaged.
        MissingDependency: torch is not installed.
        OutputFailed: the disk is full or failed; the last checkpoint is intact.
    """
    if isinstance(recipe, Recipe):
        recipe = recipe.override(changes) if changes else recipe
    else:
        recipe = read_recipe(recipe, changes)
    if find_spec("torch") is None:
        raise MissingDependency("training needs torch", extra="train")
    first = os.environ.get("RANK", "0") == "0"  # under torchrun, only rank 0 writes
    with lock_run(Path(recipe.run.folder)) if first else nullcontext():
        from glpn.training.trainer import run

        return run(recipe, resume=resume)


@contextmanager
def lock_run(folder: Path) -> Iterator[None]:
    """Hold a run's folder, created if needed, for this process.

    Raises:
        CannotCreateOutput: another process holds the folder (the message gives its number), or
            the folder cannot be created.
    """
    require_writable_folder(folder)
    with file_lock(folder / LOCK_NAME, doing="training there"):
        yield
