"""The frames on which a model was trained, and those that the training run held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from glpn.data.frames import WARNING_NOTE, FrameSet, counted
from glpn.errors import GLPNError
from glpn.records import read_json

HELD_OUT, TRAINED_ON, RECIPE = "held_out.txt", "trained_on.txt", "recipe.json"


@dataclass(frozen=True)
class RunFrames:
    """The names of frames that a training run's folder lists beside its model folders.

    Attributes:
        folder: the run's folder.
        held_out, trained_on: names of frames.
        data: the folders of these frames, if known.
        held_out_in: the folder of the frames held out; None if unknown, as in older runs.
    """

    folder: Path
    held_out: tuple[str, ...]
    trained_on: frozenset[str]
    data: tuple[Path, ...]
    held_out_in: Path | None = None

    @classmethod
    def of(cls, model: str) -> RunFrames | None:
        """Read the frames of the run whose `best/` or `last/` is the model; None for others."""
        folder = Path(model).resolve().parent
        if not Path(model).is_dir() or not (folder / TRAINED_ON).is_file():
            return None
        held_out, trained_on = _names(folder / HELD_OUT), _names(folder / TRAINED_ON)
        data, held_out_in = _folders(folder / RECIPE)
        return cls(folder, held_out, frozenset(trained_on), data, held_out_in)

    def choose(self, frames: FrameSet, data: Path, *, asked: bool) -> FrameSet:
        """Return the held-out frames unless the user chose others; add a note or a warning.

        Args:
            frames: the frames of the folder `data`.
            data: the folder.
            asked: whether the user chose frames by a split or a list.
        """
        if not self._is_same_set(frames, data):
            return frames
        held_out = self.held_out if self._is_of_held_out(data) else ()
        if held_out and not asked:
            note = (
                f"scored on the {len(held_out):,} frames that the run held out "
                f"({self.folder / HELD_OUT}); --list or --split chooses others"
            )
            chosen = frames.select(held_out)
            return replace(chosen, notes=(*frames.notes, note))
        known = self.held_out_in is not None  # a training folder may use the same names
        trained_on = self.trained_on.difference(held_out if known else ())
        learned = [name for name in frames.names if name in trained_on]
        if not learned:
            return frames
        warning = (
            f"{WARNING_NOTE}{counted(learned, 'frame')} of {len(frames):,} were trained on: "
            "the figures are better than on new photos"
        )
        return replace(frames, notes=(*frames.notes, warning))

    def _is_same_set(self, frames: FrameSet, data: Path) -> bool:
        """Return whether the run used this folder, or frames of the same names elsewhere."""
        if any(folder.is_dir() for folder in self.data):
            return _contains(self.data, data)
        listed = self.trained_on | set(self.held_out)
        return listed <= set(frames.names) or set(frames.names) <= listed

    def _is_of_held_out(self, data: Path) -> bool:
        """Return whether the held-out frames are in this folder, which the run used."""
        if self.held_out_in is None:
            return True
        if self.held_out_in.is_dir():
            return self.held_out_in.samefile(data)
        return not _contains(self.data, data)  # it was moved or deleted


def _contains(folders: Sequence[Path], data: Path) -> bool:
    return any(folder.is_dir() and folder.samefile(data) for folder in folders)


def _names(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    return tuple(line for line in path.read_text("utf-8").splitlines() if line.strip())


def _folders(path: Path) -> tuple[tuple[Path, ...], Path | None]:
    """Return the data folders of a run, and that of its held-out frames, as far as known."""
    try:
        record = read_json(path)
    except (GLPNError, OSError):
        return (), None
    values = record if isinstance(record, dict) else {}
    named, held_out_in = values.get("folders"), values.get("held_out_in")
    folders = tuple(Path(name) for name in named or () if isinstance(name, str))
    return folders, Path(held_out_in) if isinstance(held_out_in, str) else None
