"""What a run learns from and is measured with, made ready before its first step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from glpn.data.doctor import check
from glpn.data.frames import FrameSet
from glpn.data.sample import Samples
from glpn.errors import DataError
from glpn.evaluation.protocols import Protocol, protocol
from glpn.processing.processor import GLPNImageProcessor
from glpn.training.feed import Feed, ReadingFeed, ResidentFeed
from glpn.training.frames import KeptFrames, ScaledFrames, focal_ratio, open_frames
from glpn.training.network import build_processor
from glpn.training.order import Order, Share
from glpn.training.parallel import World
from glpn.training.reading import Reader
from glpn.training.recipe import Recipe
from glpn.training.validate import Validator

_EXAMINED = 32  # frames that the doctor sees before a run


@dataclass(frozen=True)
class Material:
    """The frames of a run, in the forms in which the loop needs them."""

    order: Order
    steps: int
    feed: Feed
    validator: Validator | None
    processor: GLPNImageProcessor


@dataclass(frozen=True)
class Talk:
    """How preparing speaks with its caller: `say` a sentence, `pause` where it may be given up."""

    say: Callable[[str], None]
    pause: Callable[[], None]


def gather_material(
    recipe: Recipe, world: World, device: torch.device, *, max_depth: float, talk: Talk
) -> Material:
    """Open, examine and, if so wished, keep the frames.

    Raises:
        ConfigError, MissingInput, DataError, InvalidImage: the frames are not there or unusable,
            or cannot be shared by these processes; the message names them.
    """
    recipe = replace(recipe, augment=replace(recipe.augment, max_depth=max_depth))
    train, held_back = open_frames(recipe.data)
    for note in dict.fromkeys((*train.notes, *(held_back.notes if held_back else ()))):
        talk.say(note)
    if recipe.run.doctor and world.first:
        _examine(train, held_back, talk)
    processor = build_processor(
        recipe.model, short_side=recipe.data.short_side, focal_ratio=focal_ratio(train)
    )
    order = Order(len(train), recipe.loop.batch, recipe.loop.seed)
    share = Share(order, recipe.loop.accumulate, world.rank, world.size)
    validator = None
    if held_back is not None:
        rules = _rules(recipe.loop.protocol, max_depth)
        validator = Validator(held_back, rules, processor, samples=recipe.run.samples)
    scaled = ScaledFrames(train, processor)
    return Material(
        order=order,
        steps=recipe.loop.steps or order.steps(recipe.loop.epochs),
        feed=_feed(recipe, scaled, share, device=device, talk=talk),
        validator=validator,
        processor=processor,
    )


def _examine(train: FrameSet, held_back: FrameSet | None, talk: Talk) -> None:
    report = check(train, held_back, limit=_EXAMINED, progress=lambda _: talk.pause())
    for finding in report.findings:
        talk.say(str(finding))
    if report.errors:
        raise DataError(
            f"{train.name}: {'; '.join(map(str, report.errors))}; `glpn data check` tells more, "
            "run.doctor=false trains nevertheless"
        )


def _rules(name: str, max_depth: float) -> Protocol:
    """The protocol; what lies beyond the network's reach does not count."""
    rules = protocol(name)
    return rules.replace(max_depth=max_depth) if max_depth < rules.max_depth else rules


def _feed(
    recipe: Recipe, frames: Samples, share: Share, *, device: torch.device, talk: Talk
) -> Feed:
    augment = recipe.augment
    keep, workers = recipe.data.keep, recipe.run.workers
    if keep != "disk":
        frames = KeptFrames.read(frames, talk.pause)
    if keep == "device":
        return ResidentFeed(frames, augment, share, device=device)
    reader = Reader(frames, augment, recipe.loop.seed)
    if keep == "memory":  # processes would each need a copy
        return ReadingFeed(reader, share, device=device, threads=max(workers, 1))
    return ReadingFeed(reader, share, device=device, processes=workers)
