"""The frames on which a model was trained, and those that the training run held out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from glpn.data.frames import WARNING_NOTE, FrameSet, counted
from glpn.errors import GLPNError
from glpn.records import read_json

HELD_OUT, TRAINED_ON, RECIPE = "held_out.txt", "trained_on.txt", "recipe.json"


@dataclass(frozen=True)
class RunFrames:
    """The names of frames that a training run's folder lists beside its model folders."""

    folder: Path
    held_out: tuple[str, ...]
    trained_on: frozenset[str]
    data: tuple[Path, ...]

    @classmethod
    def of(cls, model: str) -> RunFrames | None:
        """Read the frames of the run whose `best/` or `last/` is the model; None for others."""
        folder = Path(model).resolve().parent
        if not Path(model).is_dir() or not (folder / TRAINED_ON).is_file():
            return None
        held_out, trained_on = _names(folder / HELD_OUT), _names(folder / TRAINED_ON)
        return cls(folder, held_out, frozenset(trained_on), _folders(folder / RECIPE))

    def choose(self, frames: FrameSet, data: Path, *, asked: bool) -> FrameSet:
        """Return the held-out frames unless the user chose others; add a note or a warning.

        Args:
            frames: the frames of the folder `data`.
            data: the folder.
            asked: whether the user chose frames by a split or a list.
        """
        if not self._is_same_set(frames, data):
            return frames
        if self.held_out and not asked:
            note = (
                f"scored on the {len(self.held_out):,} frames that the run held out "
                f"({self.folder / HELD_OUT}); --list or --split chooses others"
            )
            chosen = frames.select(self.held_out)
            return replace(chosen, notes=(*frames.notes, note))
        learned = [name for name in frames.names if name in self.trained_on]
        if not learned:
            return frames
        warning = (
            f"{WARNING_NOTE}{counted(learned, 'frame')} of {len(frames):,} were trained on: "
            "the figures are better than on new photos"
        )
        return replace(frames, notes=(*frames.notes, warning))

    def _is_same_set(self, frames: FrameSet, data: Path) -> bool:
        """Return whether the run used this folder, or frames of the same names elsewhere."""
        existing = [folder for folder in self.data if folder.is_dir()]
        if existing:
            return any(folder.samefile(data) for folder in existing)
        listed = self.trained_on | set(self.held_out)
        return listed <= set(frames.names) or set(frames.names) <= listed


def _names(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    return tuple(line for line in path.read_text("utf-8").splitlines() if line.strip())


def _folders(path: Path) -> tuple[Path, ...]:
    """Return the data folders of a run, or none if they are unknown."""
    try:
        record = read_json(path)
    except (GLPNError, OSError):
        return ()
    named = record.get("folders") if isinstance(record, dict) else None
    return tuple(Path(name) for name in named or () if isinstance(name, str))
