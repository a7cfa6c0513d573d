"""What `glpn predict` does with its options, however they were read: nothing here needs typer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glpn.cli import formats, lens
from glpn.cli.numbers import parse_place, positive
from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.cli.answers import Questions


@dataclass(frozen=True)
class Wishes:
    """The options of `glpn predict` as they were given; `predict.predict` says what each means."""

    photos: Sequence[str]
    output: Path = Path("depth")
    model: str = ""
    format: str = "png16,vis"
    at: Sequence[str] = ()
    between: Sequence[str] = ()
    colormap: str = "inferno"
    scale: float = 1000.0
    focal: float | None = None
    fov: float | None = None
    intrinsics: Path | None = None
    ref: Sequence[str] = ()
    known: Sequence[str] = ()
    sparse: Path | None = None
    sparse_scale: float | None = None
    uncertainty: str | None = None
    tiles: str | None = None
    max_depth: float | None = None
    recursive: bool = False
    shard: str | None = None
    sheet: Path | None = None
    overwrite: bool = False
    as_json: bool = False
    quiet: bool = False
    engine: str = "auto"
    device: str = "auto"
    threads: int | None = None
    precision: str = "auto"


def run(wishes: Wishes) -> int:
    """Predict; the exit code.

    Raises:
        UsageError: options contradict each other, or one is impossible.
        CannotCreateOutput, MissingInput, ...: as `batch.Batch.run`.
    """
    from glpn.cli.batch import Batch, Request
    from glpn.cli.inputs import gather, is_job
    from glpn.jobs import Shard

    if wishes.sparse is not None and (is_job(wishes.photos) or len(wishes.photos) > 1):
        raise UsageError("--sparse: belongs to one photo; give one")
    call, asked = _call(wishes)
    request = Request(
        model=_model(wishes),
        output=wishes.output,
        formats=formats.names(wishes.format, uncertain=wishes.uncertainty is not None),
        options=formats.encoders(colormap=wishes.colormap, scale=wishes.scale),
        call=call,
        asked=asked,
        questions=_questions(wishes),
        shard=None if wishes.shard is None else Shard.parse(wishes.shard),
        sheet=wishes.sheet,
        as_job=is_job(wishes.photos),
        overwrite=wishes.overwrite,
        as_json=wishes.as_json,
        quiet=wishes.quiet,
    )
    inputs, failures = gather(wishes.photos, recursive=wishes.recursive)
    return Batch(request).run(inputs, failures)


def _call(wishes: Wishes) -> tuple[dict[str, Any], str]:
    """Keyword arguments of the estimator's call; and what changes the metres, as text."""
    from glpn.jobs.origin import asked

    camera = lens.camera(focal=wishes.focal, fov=wishes.fov, intrinsics=wishes.intrinsics)
    changes = {
        "max-depth": wishes.max_depth,
        "precision": None if wishes.precision == "auto" else wishes.precision,
        **camera,
        "uncertainty": wishes.uncertainty,
        "tiles": wishes.tiles,
        "ref": list(wishes.ref) or None,
        "known": list(wishes.known) or None,
        "sparse": wishes.sparse,
        "sparse-scale": wishes.sparse_scale,
    }
    call = {
        **camera,
        "uncertainty": wishes.uncertainty,
        "tiles": _tiles(wishes.tiles, wishes.uncertainty),
        "measurements": lens.measurements(
            wishes.ref,
            wishes.known,
            sparse=wishes.sparse,
            sparse_scale=wishes.sparse_scale,
            camera=camera,
        ),
    }
    return call, asked(changes)


def _model(wishes: Wishes) -> dict[str, Any]:
    """Options of `glpn.load`."""
    from glpn.engines.options import DEFAULT_MODEL

    return {
        "model": wishes.model or DEFAULT_MODEL,
        "engine": _engine(wishes.engine, wishes.uncertainty),
        "device": wishes.device,
        "threads": wishes.threads,
        "max_depth": positive("--max-depth", wishes.max_depth),
        "precision": wishes.precision,
    }


def _engine(engine: str, uncertainty: str | None) -> str:
    """The engine to open: auto is torch where no other can tell the uncertainty.

    Raises:
        UsageError: the engine asked for cannot.
    """
    if uncertainty != "droppath":
        return engine
    if engine not in ("auto", "torch"):
        raise UsageError(f"--uncertainty droppath: needs --engine torch, got {engine}")
    return "torch"


def _tiles(text: str | None, uncertainty: str | None) -> int | None:
    """What --tiles means to the estimator.

    Raises:
        UsageError: it is no number of tiles, or an uncertainty is asked for too.
    """
    if text is None:
        return None
    from glpn.processing.tiling import require_tiles

    if text != "auto" and not re.fullmatch("[1-9][0-9]{0,3}", text):
        raise UsageError(f"--tiles: expected auto or a whole number from 1 on, got {text!r}")
    tiles = True if text == "auto" else int(text)
    require_tiles(tiles, uncertainty)
    return tiles


def _questions(wishes: Wishes) -> Questions:
    from glpn.cli.answers import Questions

    return Questions(
        at=[parse_place("--at", text, count=2) for text in wishes.at],
        between=[parse_place("--between", text, count=4) for text in wishes.between],
    )
