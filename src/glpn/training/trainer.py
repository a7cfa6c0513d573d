"""Runs training: starts or resumes a run, then steps, logs, validates and saves until it ends."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

import glpn
from glpn import weights
from glpn.concurrency import StopRequested, StopSignals
from glpn.engines.torch import best_device, require_device
from glpn.estimator import load
from glpn.evaluation.metrics import Metrics
from glpn.files import require_writable_folder, write_file
from glpn.files.jsonl import JsonLog
from glpn.training.api import Result
from glpn.training.batches import Batch
from glpn.training.checkpoint import TrainState, clean, named_parameters, write_checkpoint
from glpn.training.data import Callbacks
from glpn.training.distributed import World, open_world, synchronise_norms
from glpn.training.log import LOG_NAME, Display
from glpn.training.losses import FeatureProjections, Teacher, teacher_config
from glpn.training.optimiser import AveragedNetwork, build_optimiser, learning_rate
from glpn.training.preparation import TrainingData, build_network, inherited_card, prepare_data
from glpn.training.recipe import Recipe
from glpn.training.resume import (
    BEST,
    CHECKPOINTS,
    LAST,
    checkpoint_to_resume,
    require_same_frames,
)
from glpn.training.step import Update, Updater
from glpn.training.validation import Validator, score_of, write_pictures

SAMPLES = "samples"
SETTINGS_NAME, HELD_OUT_NAME, TRAINED_ON_NAME = "recipe.json", "held_out.txt", "trained_on.txt"


@dataclass(frozen=True)
class Output:
    """Where a run writes; `log` is None in processes other than the first."""

    folder: Path
    log: JsonLog | None
    display: Display


def run(recipe: Recipe, *, resume: bool) -> Result:
    """Train. `api.train` calls this while it holds the run's lock."""
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    folder = require_writable_folder(recipe.run.folder)
    found, notes = checkpoint_to_resume(recipe, folder, resume=resume)
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignals())
        device = _device(recipe.run.device)
        world = stack.enter_context(open_world(device))
        options = recipe.run
        shown = folder if world.first else None
        display = stack.enter_context(
            Display(shown, progress=options.progress, tensorboard=options.tensorboard)
        )
        for note in notes:
            display.log(note)
        state = _state(recipe, device, world)
        if found is not None:
            state.restore(found)
            display.log(f"{folder}: resuming from step {state.step}")
        # Skip the dataset check (`doctor`): a resumed run has already passed it.
        checked = recipe if found is None else replace(recipe, run=replace(options, doctor=False))
        callbacks = Callbacks(display.log, signals.pause)
        max_depth = float(state.network.config.max_depth)
        try:
            data = prepare_data(checked, world, device, max_depth=max_depth, callbacks=callbacks)
        except StopRequested:  # there is no progress to save yet
            return Result(folder, state.step, steps=0, stopped_by=signals.received)
        if found is not None:
            require_same_frames(data.frames_hash, found, folder)
        log = None
        if world.first:
            clean(folder / CHECKPOINTS)
            _write_settings(recipe, data, folder)
            size = found.values["log"] if found else 0
            log = stack.enter_context(closing(JsonLog(folder / LOG_NAME, size)))
        display.begin(data.steps)
        output = Output(folder, log, display)
        trainer = Trainer(recipe, state, data, output=output, world=world, signals=signals)
        return replace(trainer.run(), notes=tuple(notes))


class Trainer:
    """Runs training from `state.step` to the last step.

    Args:
        recipe: all settings.
        state: network, optimiser and counters.
        data: training and validation data.
        output: where results are written.
        world: the processes of a distributed run.
        signals: requests to stop.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: TrainState,
        data: TrainingData,
        *,
        output: Output,
        world: World,
        signals: StopSignals,
    ) -> None:
        self._recipe = recipe
        self._state = state
        self._data = data
        self._output = output
        self._world = world
        self._signals = signals
        self._metrics: Metrics | None = None
        # In distributed runs no rank may abort a validation on its own: the others would hang in
        # the next collective.
        self._pause: Callable[[], None] = signals.pause if world.size == 1 else _do_not_stop

    def run(self) -> Result:
        """Make all remaining steps.

        Raises:
            DataError, MissingInput, InvalidImage: a frame is unusable, or the loss is not finite;
                the message names the frames, and the last checkpoint is intact.
            CannotCreateOutput, OutputFailed: a file cannot be written.
        """
        updater = self._updater()
        steps = self._data.steps
        with closing(self._data.loader.batches(self._state.step, steps)) as batches:
            stopped_by = self._go(updater, batches)
        if self._output.log is not None:
            self._export(LAST)
            if not stopped_by:
                self._record_depth_errors()
        return self._result(stopped_by)

    def _updater(self) -> Updater:
        network, options = self._state.network, self._recipe.teacher
        teacher = None
        if options.model is not None:
            teacher = Teacher(options, self._data.processor, network.device)
        return Updater(
            self._state,
            torch.compile(network, dynamic=False) if self._recipe.loop.compile else network,
            self._recipe,
            [dataset.options for dataset in self._data.datasets],
            world=self._world,
            teacher=teacher,
        )

    def _go(self, updater: Updater, batches: Iterator[Sequence[Batch]]) -> int:
        """Step until the end or a signal; returns the signal, or 0 at the end."""
        state = self._state
        while True:
            self._validate_if_due()
            signal = self._signal()
            done = state.step >= self._data.steps or self._is_out_of_patience()
            if signal or done or state.step % self._recipe.run.save_every == 0:
                self._save()
            if signal or done:
                return signal
            rate = learning_rate(self._recipe.schedule, state.step, steps=self._data.steps)
            update = updater(next(batches), rate=rate, seed=self._recipe.loop.seed)
            self._report(update, rate)

    def _signal(self) -> int:
        """The signal that any process received, or 0. All processes stop after the same step."""
        return self._world.largest(self._signals.received or 0, self._state.network.device)

    def _is_out_of_patience(self) -> bool:
        patience = self._recipe.loop.patience
        return patience > 0 and self._state.stale >= patience

    def _report(self, update: Update, rate: float) -> None:
        """Write a line of the log if one is due or if the step was skipped."""
        state, options, output = self._state, self._recipe.loop, self._output
        output.display.advance(state.step, options.batch)
        if output.log is None or (state.step % options.log_every and update.made):
            return
        line: dict[str, float | str] = {
            "kind": "train",
            "step": state.step,
            "epoch": self._data.sampler.epoch(state.step),
            "rate": rate,
            "loss": update.loss,
            "norm": update.norm,
            "empty": state.empty,
        }
        if update.features is not None:
            line["features"] = update.features
        if not update.made:
            line["skipped"] = "no frame of the batch has a valid pixel"
        output.log.append(line)
        output.display.report(line)

    def _validate_if_due(self) -> None:
        """Validate at the beginning, at the end, and at the recipe's intervals."""
        state, every = self._state, self._recipe.loop.validate_every
        at_end = state.step in (0, self._data.steps)
        due = state.step % every == 0 if every else self._data.sampler.ends_epoch(state.step)
        validator = self._data.validator
        if validator is None or state.validated == state.step or not (at_end or due):
            return
        try:
            self._validate(validator)
        except StopRequested:  # the checkpoint records that this validation is still due
            return
        self._output.display.restart_clock()

    def _validate(self, validator: Validator) -> None:
        state, output = self._state, self._output
        metrics, pictures = validator(state.exported, self._world, self._pause)
        score = score_of(metrics, self._recipe.loop.metric)
        better = score < state.best
        if better and state.saved is None:
            self._save()  # best/ never exists without a checkpoint to resume from
        state.best, state.stale = (score, 0) if better else (state.best, state.stale + 1)
        state.validated = state.step
        self._metrics = metrics
        if output.log is None:
            return
        line: dict[str, float | str] = {
            "kind": "validation",
            "step": state.step,
            **metrics._asdict(),
        }
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
        checkpoint = state.checkpoint(
            log=log.flush_to_disk(),
            recipe=self._recipe.flat(),
            frames=self._data.frames_hash,
        )
        folder = self._output.folder / CHECKPOINTS
        write_checkpoint(folder, checkpoint, keep=self._recipe.run.keep)
        state.saved = (state.step, state.validated)
        self._output.display.restart_clock()

    def _export(self, name: str) -> None:
        """Write the model as a folder that glpn and transformers load."""
        folder = self._output.folder / name
        self._state.exported.save_pretrained(folder)
        self._data.processor.save_pretrained(folder)
        card = inherited_card(self._recipe, self._output.folder.resolve().name)
        if card is not None:
            write_file(folder / weights.CARD_NAME, card.encode())

    def _record_depth_errors(self) -> None:
        """Measure the best model's errors by depth on held-out frames; write them to its folder."""
        validator, folder = self._data.validator, self._output.folder / BEST
        if validator is None or not folder.is_dir():
            return
        device = str(self._state.network.device)
        try:
            curve = validator.errors(load(folder, engine="torch", device=device), self._pause)
        except StopRequested:
            return
        weights.write_errors(folder, curve)

    def _result(self, stopped_by: int) -> Result:
        folder = self._output.folder
        held_out = self._data.held_out
        return Result(
            folder=folder,
            step=self._state.step,
            steps=self._data.steps,
            metrics=self._metrics,
            validated=None if self._metrics is None else self._state.validated,
            best=None if math.isinf(self._state.best) else abs(self._state.best),
            held_out=None if held_out is None else folder / HELD_OUT_NAME,
            data=None if held_out is None else held_out.name,
            stopped_by=stopped_by or None,
        )


def _do_not_stop() -> None:
    pass


def _device(name: str) -> torch.device:
    """The device of this process; under torchrun, each process of a machine has its own GPU."""
    device = torch.device(best_device() if name == "auto" else require_device(name))
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", World.from_environment().local_rank)
        torch.cuda.set_device(device)
    return device


def _state(recipe: Recipe, device: torch.device, world: World) -> TrainState:
    """Return the initial training state, before the first step."""
    network = build_network(recipe.model, seed=recipe.loop.seed)
    teacher = teacher_config(recipe.teacher, network.config)
    projections = None
    if teacher is not None and recipe.teacher.features:
        projections = FeatureProjections(network.config.hidden_sizes, teacher.hidden_sizes)
        projections = projections.to(device)
    if world.size > 1:
        synchronise_norms(network)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.loop.checkpointing:
        network.gradient_checkpointing_enable()
    average = AveragedNetwork(network, recipe.loop.ema) if recipe.loop.ema > 0 else None
    parameters = named_parameters(network, projections)
    return TrainState(
        network=network,
        average=average,
        optimiser=build_optimiser(parameters, network.config.depths, recipe.optimiser),
        scaler=torch.amp.GradScaler(device.type, enabled=recipe.loop.precision == "fp16"),
        projections=projections,
    )


def _write_settings(recipe: Recipe, data: TrainingData, folder: Path) -> None:
    """Record the recipe, and which frames are used for training and which are held out."""
    values = {
        "recipe": recipe.to_dict(),
        "recipe_hash": recipe.hash(),
        # The recipe's paths are relative to the working directory, which may be another one later.
        "folders": sorted({str(Path(frames.name).resolve()) for frames in data.labelled}),
        "held_out_in": data.held_out and str(Path(data.held_out.name).resolve()),
        "glpn": glpn.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    write_file(folder / SETTINGS_NAME, (json.dumps(values, indent=2) + "\n").encode())
    trained_on = [name for dataset in data.datasets for name in dataset.frames.names]
    write_file(folder / TRAINED_ON_NAME, "".join(f"{name}\n" for name in trained_on).encode())
    if data.held_out is not None:
        names = data.held_out.names
        write_file(folder / HELD_OUT_NAME, "".join(f"{name}\n" for name in names).encode())
