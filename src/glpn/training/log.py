"""What is said about a run: a log that a resumed run continues to the bit, and what is shown.

`log.jsonl` holds only what the recipe decides: losses, rates, scores. Times are in `speed.jsonl`,
on standard error and in TensorBoard.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glpn.errors import MissingDependency
from glpn.files.jsonl import JsonLog
from glpn.image.photo import display_name

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from torch.utils.tensorboard import SummaryWriter

LOG_NAME = "log.jsonl"
SPEED_NAME = "speed.jsonl"


class Display(AbstractContextManager["Display"]):
    """Progress on standard error, times in `speed.jsonl`, curves in TensorBoard if asked.

    Args:
        folder: the run's; None shows and writes nothing (a process that is not the first).
        progress: show anything on standard error.
        tensorboard: write curves.

    Raises:
        MissingDependency: TensorBoard is asked for and not installed.
    """

    def __init__(self, folder: Path | None, *, progress: bool, tensorboard: bool) -> None:
        self._stack = ExitStack()
        self._steps = 0
        self._progress = progress and folder is not None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._curves: SummaryWriter | None = None
        self._speed: JsonLog | None = None
        self._since = (time.monotonic(), 0)  # when counting began, images since
        if folder is not None:
            self._speed = self._stack.enter_context(closing(JsonLog(folder / SPEED_NAME)))
            if tensorboard:
                self._curves = _open_tensorboard(folder)
                self._stack.callback(self._curves.close)

    def expect(self, steps: int) -> None:
        """The run has so many steps; on a terminal a bar begins."""
        self._steps = steps
        if self._progress and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
            from rich.progress import TimeRemainingColumn as Left

            told = TextColumn("{task.description}")
            columns = (BarColumn(), MofNCompleteColumn(), told, Left())
            bar = Progress(*columns, console=Console(stderr=True))
            self._bar = self._stack.enter_context(bar)
            self._task = bar.add_task("", total=steps)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def say(self, sentence: str) -> None:
        """One line on standard error; no name in it can move the cursor."""
        sentence = display_name(sentence)
        if self._bar is not None:
            self._bar.console.print(sentence, markup=False, highlight=False)
        elif self._progress:
            print(sentence, file=sys.stderr, flush=True)

    def advance(self, step: int, images: int) -> None:
        """`step` updates are done; the last one learnt from so many images."""
        self._since = (self._since[0], self._since[1] + images)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step)

    def report(self, values: Mapping[str, Any]) -> None:
        """Show a line of the log, with the speed since the last one if it is of a step."""
        step = int(values["step"])
        numbers = {key: value for key, value in values.items() if isinstance(value, float)}
        kind = str(values["kind"])
        if kind == "train":
            numbers["images_per_second"] = self._measure(step)
        if self._curves is not None:
            for key, value in numbers.items():
                self._curves.add_scalar(f"{kind}/{key}", value, step)
        told = " ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        if self._bar is not None and self._task is not None and kind == "train":
            self._bar.update(self._task, description=told)
        else:
            self.say(f"{kind} {step}/{self._steps} {told}")

    def restart_clock(self) -> None:
        """Leave what happened until now (a validation, a checkpoint) out of the next speed."""
        self._since = (time.monotonic(), 0)

    def _measure(self, step: int) -> float:
        began, images = self._since
        speed = images / max(time.monotonic() - began, 1e-9)
        self.restart_clock()
        if self._speed is not None:
            now = round(time.time(), 3)
            self._speed.append({"step": step, "images_per_second": round(speed, 3), "time": now})
        return speed


def _open_tensorboard(folder: Path) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingDependency("run.tensorboard needs tensorboard: glpn[train]") from None
    return SummaryWriter(str(folder / "tensorboard"))
