"""A run from its recipe: begun, or taken up where it ended."""

from __future__ import annotations

import dataclasses
import json
import platform
from contextlib import ExitStack, closing
from pathlib import Path

import torch

import glpn
from glpn.engines.torch import best_device, require_device
from glpn.errors import CannotCreateOutput, CheckpointError, UsageError
from glpn.files import atomic_file, require_writable_folder
from glpn.files.jsonl import JsonLog
from glpn.training.checkpoint import Checkpoint, clean, list_checkpoints, newest_checkpoint
from glpn.training.ema import Average
from glpn.training.log import LOG_NAME, Display
from glpn.training.loop import CHECKPOINTS, Loop, Output, Result
from glpn.training.material import Talk, gather_material
from glpn.training.network import build_network
from glpn.training.optimiser import build_optimiser
from glpn.training.parallel import World, open_world, synchronise_norms
from glpn.training.recipe import Recipe
from glpn.training.signals import StopRequested, StopSignals
from glpn.training.state import TrainState

SETTINGS_NAME = "recipe.json"


def run(recipe: Recipe, *, resume: bool) -> Result:
    """Train; see `entry.train`, which holds the run's lock meanwhile."""
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    folder = require_writable_folder(recipe.run.folder)
    found, notes = _find_checkpoint(recipe, folder, resume=resume)
    with ExitStack() as stack:
        signals = stack.enter_context(StopSignals())
        device = _device(recipe.run.device)
        world = stack.enter_context(open_world(device))
        shown = Display(
            folder if world.first else None,
            progress=recipe.run.progress,
            tensorboard=recipe.run.tensorboard,
        )
        display = stack.enter_context(shown)
        for note in notes:
            display.say(note)
        state = _state(recipe, device, world)
        if found is not None:
            state.restore(found)
            display.say(f"{folder}: going on from step {state.step}")
        examined = recipe if found is None else _unexamined(recipe)
        talk = Talk(display.say, signals.pause)
        reach = float(state.network.config.max_depth)
        try:
            material = gather_material(examined, world, device, max_depth=reach, talk=talk)
        except StopRequested:  # nothing has been done that could be saved
            return Result(folder, state.step, steps=0, stopped_by=signals.received)
        log = None
        if world.first:
            clean(folder / CHECKPOINTS)
            _write_settings(recipe, folder)
            position = found.values["log"] if found else 0
            log = stack.enter_context(closing(JsonLog(folder / LOG_NAME, position)))
        display.expect(material.steps)
        output = Output(folder, log, display)
        loop = Loop(recipe, state, material, output=output, world=world, signals=signals)
        forward = torch.compile(state.network) if recipe.loop.compile else state.network
        return dataclasses.replace(loop.run(forward), notes=tuple(notes))


def _device(name: str) -> torch.device:
    """The device asked for; under torchrun each process of a machine has its own GPU."""
    device = torch.device(best_device() if name == "auto" else require_device(name))
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", World.from_environment().local_rank)
        torch.cuda.set_device(device)
    return device


def _find_checkpoint(
    recipe: Recipe, folder: Path, *, resume: bool
) -> tuple[Checkpoint | None, list[str]]:
    """Where to go on, and what is wrong with newer checkpoints.

    Raises:
        CannotCreateOutput: the folder holds a run, which nobody asked to resume.
        CheckpointError: it holds checkpoints, and none is sound.
        UsageError: the run was begun with another recipe.
    """
    there = list_checkpoints(folder / CHECKPOINTS)
    if there and not resume:
        raise CannotCreateOutput(
            f"{folder}: holds a run already ({there[0].name}); resume it, or choose another "
            "run.folder"
        )
    found, complaints = newest_checkpoint(folder / CHECKPOINTS)
    if found is None:
        if there:
            raise CheckpointError(f"{folder}: no sound checkpoint: {'; '.join(complaints)}")
        return None, []
    _require_same(recipe, found, folder)
    return found, [f"{complaint}: falling back to step {found.step}" for complaint in complaints]


def _require_same(recipe: Recipe, checkpoint: Checkpoint, folder: Path) -> None:
    before, now = checkpoint.values["recipe"], recipe.flat()
    changed = [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise UsageError(
            f"{folder}: was begun with another recipe: {'; '.join(changed)}; to go on with this "
            f"one, start a run with model.start={folder}/last"
        )


def _unexamined(recipe: Recipe) -> Recipe:
    """The recipe without the doctor: a run that goes on has been through it."""
    return dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, doctor=False))


def _state(recipe: Recipe, device: torch.device, world: World) -> TrainState:
    """Everything that learns, as it is before the first step."""
    network = build_network(recipe.model, seed=recipe.loop.seed)
    if world.size > 1:
        synchronise_norms(network)
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.gradient_checkpointing_enable(recipe.loop.checkpointing)
    average = Average(network, recipe.loop.ema) if recipe.loop.ema > 0 else None
    return TrainState(
        network=network,
        average=average,
        optimiser=build_optimiser(network, recipe.optimiser),
        scaler=torch.amp.GradScaler(device.type, enabled=recipe.loop.precision == "fp16"),
    )


def _write_settings(recipe: Recipe, folder: Path) -> None:
    values = {
        "recipe": recipe.to_dict(),
        "recipe_hash": recipe.hash(),
        "glpn": glpn.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    with atomic_file(folder / SETTINGS_NAME, overwrite=True) as file:
        file.write(json.dumps(values, indent=2).encode() + b"\n")
