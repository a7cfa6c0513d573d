"""Resuming: finds the checkpoint from which a run continues, and compares the recipes.

`checkpoint.py` reads and writes checkpoints; `TrainState.restore` takes over their contents.
"""

from __future__ import annotations

import os
from pathlib import Path

from glpn.errors import CannotCreateOutput, CheckpointError, UsageError
from glpn.training.checkpoint import Checkpoint, list_checkpoints, newest_checkpoint
from glpn.training.recipe import Recipe

BEST, LAST, CHECKPOINTS = "best", "last", "checkpoints"  # folders within the run's folder


def checkpoint_to_resume(
    recipe: Recipe, folder: Path, *, resume: bool
) -> tuple[Checkpoint | None, list[str]]:
    """Return the checkpoint to resume from, and a note on each newer one that is damaged.

    The checkpoint is None for a new run.

    Raises:
        CannotCreateOutput: the folder contains a run, and `resume` is False; or the models of a
            run without its checkpoints.
        CheckpointError: the folder holds checkpoints, but all are damaged.
        UsageError: the run was started with a different recipe.
    """
    existing = list_checkpoints(folder / CHECKPOINTS)
    if existing and not resume:
        raise CannotCreateOutput(
            f"{folder}: already contains a run ({existing[0].name}); continue it with --resume, or "
            "choose another run.folder"
        )
    found, errors = newest_checkpoint(folder / CHECKPOINTS)
    if found is None:
        if existing:
            raise CheckpointError(f"{folder}: no usable checkpoint: {'; '.join(errors)}")
        # Models are written after a checkpoint, which somebody deleted since.
        if any((folder / name).is_dir() for name in (BEST, LAST)):
            raise CannotCreateOutput(
                f"{folder}: contains the models of a run, but no checkpoint to resume from; choose "
                "another run.folder, so that they are not replaced"
            )
        return None, []
    _require_same_recipe(recipe, found, folder)
    return found, [f"{error}: falling back to step {found.step}" for error in errors]


def require_same_frames(frames_hash: str, checkpoint: Checkpoint, folder: Path) -> None:
    """Refuse to resume with other frames: some that were held out might be trained on.

    Args:
        frames_hash: that of the present frames, see `TrainingData`.
        checkpoint: the one to resume from.
        folder: the run's folder.

    Raises:
        UsageError: frames were added, removed or renamed since the run started.
    """
    if checkpoint.values.get("frames", frames_hash) != frames_hash:
        raise UsageError(
            f"{folder}: frames were added, removed or renamed since the run started; restore "
            "those of trained_on.txt and held_out.txt, or start a new run with "
            f"model.start={folder}/{LAST}"
        )


def _require_same_recipe(recipe: Recipe, checkpoint: Checkpoint, folder: Path) -> None:
    before, now = checkpoint.values["recipe"], recipe.flat()
    changed = [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if _plain(before.get(key)) != _plain(now.get(key))
    ]
    if changed:
        raise UsageError(
            f"{folder}: the run was started with a different recipe: {'; '.join(changed)}; to "
            f"train with the new recipe, start a new run with model.start={folder}/{LAST}"
        )


def _plain(value: object) -> object:
    """A setting; a path without trailing slashes, which completion in a shell adds."""
    return os.path.normpath(value) if isinstance(value, str) and value else value
