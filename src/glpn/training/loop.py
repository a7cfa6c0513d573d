"""The loop: step, log, validate, save; stop when asked or when there is nothing more to gain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from glpn.evaluation.metrics import Metrics
from glpn.files.jsonl import JsonLog
from glpn.training.checkpoint import write_checkpoint
from glpn.training.feed import Batch
from glpn.training.log import Display
from glpn.training.material import Material
from glpn.training.parallel import World
from glpn.training.pictures import write_pictures
from glpn.training.recipe import Recipe
from glpn.training.schedule import learning_rate
from glpn.training.signals import StopRequested, StopSignals
from glpn.training.state import TrainState
from glpn.training.step import Update, Updater
from glpn.training.validate import Validator, score_of

BEST, LAST, CHECKPOINTS, SAMPLES = "best", "last", "checkpoints", "samples"


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        folder: of the run; `best` and `last` in it are models, as far as they exist.
        step: updates done, of `steps` in all.
        metrics: of the last validation in this process, if there was one.
        best: the best value of the recipe's metric, if any.
        stopped_by: the signal that ended it early.
        notes: what the user should know: damaged checkpoints, for example.
    """

    folder: Path
    step: int
    steps: int
    metrics: Metrics | None = None
    best: float | None = None
    stopped_by: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """Where a run writes; `log` is None in a process that is not the first."""

    folder: Path
    log: JsonLog | None
    display: Display


class Loop:
    """One run from the step that `state` is at to its end.

    Args:
        recipe: what is wanted.
        state: what learns.
        material: what it learns from and is measured with.
        output: where it is written.
        world: the processes.
        signals: the wish to stop.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: TrainState,
        material: Material,
        *,
        output: Output,
        world: World,
        signals: StopSignals,
    ) -> None:
        self._recipe = recipe
        self._state = state
        self._material = material
        self._output = output
        self._world = world
        self._signals = signals
        self._metrics: Metrics | None = None
        # A process that gives up alone would leave the others waiting for it.
        self._pause: Callable[[], None] = signals.pause if world.size == 1 else _go_on

    def run(self, forward: Callable[[Tensor], Any]) -> Result:
        """Make all steps that are left.

        Args:
            forward: the network of the state, compiled perhaps.

        Raises:
            DataError, MissingInput, InvalidImage: a frame is unusable, or the loss is not finite;
                the message names the frames, and the last checkpoint is intact.
            CannotCreateOutput, OutputFailed: something cannot be written.
        """
        options = self._recipe.loop
        updater = Updater(
            self._state,
            forward,
            self._world,
            precision=options.precision,
            clip_norm=self._recipe.optimiser.clip_norm,
        )
        steps = self._material.steps
        with closing(self._material.feed.batches(self._state.step, steps)) as batches:
            stopped_by = self._go(updater, batches)
        if self._output.log is not None:
            self._export(LAST)
        return Result(
            folder=self._output.folder,
            step=self._state.step,
            steps=steps,
            metrics=self._metrics,
            best=self._best(),
            stopped_by=stopped_by or None,
        )

    def _go(self, updater: Updater, batches: Iterator[Sequence[Batch]]) -> int:
        """Step until the end, or until asked to stop: by which signal, 0 at the end."""
        state = self._state
        while True:
            self._validate_if_due()
            signal = self._signal()
            done = state.step >= self._material.steps or self._gains_nothing()
            if signal or done or state.step % self._recipe.run.save_every == 0:
                self._save()
            if signal or done:
                return signal
            rate = learning_rate(self._recipe.schedule, state.step, steps=self._material.steps)
            update = updater(next(batches), rate=rate, seed=self._recipe.loop.seed)
            self._report(update, rate)

    def _signal(self) -> int:
        """The signal that some process received, 0 for none: all stop after the same step."""
        return self._world.largest(self._signals.received or 0, self._state.network.device)

    def _gains_nothing(self) -> bool:
        patience = self._recipe.loop.patience
        return patience > 0 and self._state.stale >= patience

    def _report(self, update: Update, rate: float) -> None:
        """A line of the log, if it is time for one or something was left out."""
        state, options, output = self._state, self._recipe.loop, self._output
        output.display.advance(state.step, options.batch)
        if output.log is None or (state.step % options.log_every and update.made):
            return
        line: dict[str, Any] = {
            "kind": "train",
            "step": state.step,
            "epoch": self._material.order.epoch(state.step),
            "rate": rate,
            "loss": update.loss,
            "norm": update.norm,
            "empty": state.empty,
        }
        if not update.made:
            line["skipped"] = "no frame of the batch has a valid pixel"
        output.log.append(line)
        output.display.report(line)

    def _validate_if_due(self) -> None:
        """Validate at the beginning, at the end, and as often as the recipe says."""
        state, every = self._state, self._recipe.loop.validate_every
        at_end = state.step in (0, self._material.steps)
        due = state.step % every == 0 if every else self._material.order.ends_epoch(state.step)
        validator = self._material.validator
        if validator is None or state.validated == state.step or not (at_end or due):
            return
        try:
            self._validate(validator)
        except StopRequested:  # what is saved now says that this validation is still to come
            return
        self._output.display.restart_clock()

    def _validate(self, validator: Validator) -> None:
        state, output = self._state, self._output
        metrics, pictures = validator(state.exported, self._world, self._pause)
        score = score_of(metrics, self._recipe.loop.metric)
        better = score < state.best
        state.best, state.stale = (score, 0) if better else (state.best, state.stale + 1)
        state.validated = state.step
        self._metrics = metrics
        if output.log is None:
            return
        line = {"kind": "validation", "step": state.step, **metrics._asdict()}
        output.log.append(line)
        output.display.report(line)
        if better:
            self._export(BEST)
        if pictures:
            write_pictures(pictures, output.folder / SAMPLES / f"step-{state.step:08d}.png")

    def _save(self) -> None:
        state, log = self._state, self._output.log
        if log is None or state.saved == (state.step, state.validated):
            return
        checkpoint = state.checkpoint(log=log.flush_to_disk(), recipe=self._recipe.flat())
        folder = self._output.folder / CHECKPOINTS
        write_checkpoint(folder, checkpoint, keep=self._recipe.run.keep)
        state.saved = (state.step, state.validated)
        self._output.display.restart_clock()

    def _export(self, name: str) -> None:
        """Write the model as a folder that glpn and transformers load."""
        folder = self._output.folder / name
        self._state.exported.save_pretrained(folder)
        self._material.processor.save_pretrained(folder)

    def _best(self) -> float | None:
        return None if math.isinf(self._state.best) else abs(self._state.best)


def _go_on() -> None:
    pass
