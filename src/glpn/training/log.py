"""The record of a run: a log that a resumed run continues bit-identically, and progress.

`log.jsonl` has only what the recipe decides: losses, rates, scores. Times are in `speed.jsonl`,
on standard error and in TensorBoard.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from glpn.errors import MissingDependency
from glpn.files.jsonl import JsonLog
from glpn.image.photo import display_name

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from torch.utils.tensorboard import SummaryWriter

LOG_NAME = "log.jsonl"
SPEED_NAME = "speed.jsonl"


class Display(AbstractContextManager["Display"]):
    """Progress on standard error, times in `speed.jsonl`, curves in TensorBoard if wanted.

    Args:
        folder: the run's folder; None, in processes other than the first, writes nothing.
        progress: report on standard error.
        tensorboard: write curves.

    Raises:
        MissingDependency: TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path | None, *, progress: bool, tensorboard: bool) -> None:
        self._stack = ExitStack()
        self._steps = 0
        self._progress = progress and folder is not None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._curves: SummaryWriter | None = None
        self._speed: JsonLog | None = None
        self._since = (time.monotonic(), 0)  # start of the count, images since then
        if folder is not None:
            self._speed = self._stack.enter_context(closing(JsonLog(folder / SPEED_NAME)))
            if tensorboard:
                self._curves = _open_tensorboard(folder)
                self._stack.callback(self._curves.close)

    def begin(self, steps: int) -> None:
        """Set the number of steps of the run; on a terminal, show a progress bar."""
        self._steps = steps
        if self._progress and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
            from rich.progress import TimeRemainingColumn as Left

            description = TextColumn("{task.description}")
            columns = (BarColumn(), MofNCompleteColumn(), description, Left())
            bar = Progress(*columns, console=Console(stderr=True))
            self._bar = self._stack.enter_context(bar)
            self._task = bar.add_task("", total=steps)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def log(self, sentence: str) -> None:
        """Print one line on standard error, with control characters escaped."""
        sentence = display_name(sentence)
        if self._bar is not None:
            self._bar.console.print(sentence, markup=False, highlight=False)
        elif self._progress:
            with suppress(OSError):  # its reader may have ended, as `tee` does with its terminal
                print(sentence, file=sys.stderr, flush=True)

    def advance(self, step: int, images: int) -> None:
        """`step` updates are done; the last one used this number of images."""
        self._since = (self._since[0], self._since[1] + images)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step)

    def report(self, values: Mapping[str, float | str]) -> None:
        """Show a line of the log; for a step, with the speed since the previous line."""
        step = int(values["step"])
        numbers = {key: value for key, value in values.items() if isinstance(value, float)}
        kind = str(values["kind"])
        if kind == "train":
            numbers["images_per_second"] = self._measure(step)
        if self._curves is not None:
            for key, value in numbers.items():
                self._curves.add_scalar(f"{kind}/{key}", value, step)
        text = " ".join(f"{key} {value:.4g}" for key, value in numbers.items())
        if self._bar is not None and self._task is not None and kind == "train":
            self._bar.update(self._task, description=text)
        else:
            self.log(f"{kind} {step}/{self._steps} {text}")

    def restart_clock(self) -> None:
        """Exclude the time until now (a validation, a checkpoint) from the next speed."""
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
        raise MissingDependency("run.tensorboard needs tensorboard", extra="train") from None
    return SummaryWriter(str(folder / "tensorboard"))
