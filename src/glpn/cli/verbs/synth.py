"""`glpn synth`: renders procedural rooms or streets into a dataset with exact depth."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import console, options
from glpn.errors import MissingDependency, UsageError

_LARGEST_SIDE = 4096


class SceneKind(str, Enum):
    """The kinds of scenes, the same as `glpn.synthetic.SAMPLERS`."""

    indoor = "indoor"
    street = "street"


class Cameras(str, Enum):
    """The ways to hold a camera, the same as `glpn.synthetic.scenes.indoor.Cameras`."""

    level = "level"
    handheld = "handheld"


def synth(
    output: Annotated[Path, typer.Argument(metavar="DIR", help="Folder for the frames.")],
    count: Annotated[
        int, typer.Option(min=1, help="Total number of frames in the folder at the end.")
    ] = 100,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the first frame; the others follow.")
    ] = 0,
    size: Annotated[
        str, typer.Option(metavar="HEIGHTxWIDTH", help="Size of the pictures.")
    ] = "480x640",
    kind: Annotated[SceneKind, typer.Option(help="What to render.")] = SceneKind.indoor,
    views: Annotated[
        int, typer.Option(min=1, help="Number of consecutive frames of the same scene.")
    ] = 1,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of processes that render in parallel.")
    ] = 1,
    furniture: Annotated[
        Path | None, typer.Option(help="Folder of furniture meshes for rooms.")
    ] = None,
    cameras: Annotated[Cameras, typer.Option(help="How cameras are held.")] = Cameras.level,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    as_json: options.AsJson = False,
) -> None:
    """Render scenes with exact depth into a folder for training and evaluation.

    The same seed and options give the same scene on every machine, up to rounding. The same
    command resumes an interrupted run.

    Example:

      glpn synth rooms --count 1000 --size 240x320
    """
    height_width = _size(size)
    place = _device(device)
    from glpn.synthetic import write_dataset

    frames = write_dataset(
        output,
        count,
        seed=seed,
        size=height_width,
        kind=kind.value,
        device=place,
        views=views,
        workers=workers,
        furniture=furniture,
        cameras=cameras.value,
    )
    kept = done = next(frames)
    with console.progress(count - kept, quiet=as_json) as advance:
        for reached in frames:
            for _ in range(reached - done):
                advance()
            done = reached
    facts = {"written": str(output), "frames": done, "kept": kept, "device": place}
    console.print_facts(facts, as_json=as_json)


def _device(name: str) -> str:
    """Return the device that renders.

    Raises:
        MissingDependency: torch is not installed.
        UsageError: there is no such device.
    """
    try:
        from glpn.engines.torch import best_device, require_device
    except ModuleNotFoundError:
        raise MissingDependency("rendering scenes needs torch", extra="torch") from None
    return best_device() if name == "auto" else require_device(name)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= _LARGEST_SIDE for side in sides):
        wanted = f"HEIGHTxWIDTH with sides from 1 to {_LARGEST_SIDE}"
        raise UsageError(f"--size: expected {wanted}, got {text!r}")
    return sides
