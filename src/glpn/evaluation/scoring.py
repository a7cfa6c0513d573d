"""What `evaluate` and `reproduce` share: frames found, a model run over them, results written."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glpn import files
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.data.frames import FrameSet
from glpn.data.ibims import scene_files
from glpn.data.layouts import Layout, known_layout, recognise
from glpn.data.probing import share_beyond
from glpn.data.sample import Sample
from glpn.errors import CannotCreateOutput, ConfigError, MissingInput, UsageError
from glpn.estimator import DepthEstimator, load
from glpn.evaluation.geometry import SurveyedFrame, surveyed
from glpn.evaluation.pngs import from_pngs
from glpn.evaluation.protocols import PROTOCOLS, Protocol, protocol
from glpn.evaluation.result import Result
from glpn.evaluation.robustness import Robustness, Study, robustness
from glpn.evaluation.run_frames import RunFrames
from glpn.evaluation.runner import evaluate

MAX_SHARE_BEYOND = 0.5  # of the labels, without a warning
PLAIN = "folder"  # the set that is none of the published ones
_LAYOUTS = {"ibims": "ibims1"}  # set → layout, where their names differ
_SETS = {layout: name for name, layout in _LAYOUTS.items()}
_SURVEYED = "ibims"  # the set with planes and edges
_PAPER = "paper"  # as a protocol: the set's own


@dataclass(frozen=True)
class Selection:
    """Which frames are scored.

    Attributes:
        data: the folder.
        dataset: a set's name, a key of `PROTOCOLS`; None is told from the folder.
        spec: a `dataset.toml` that describes the folder.
        changes: fields of `DatasetSpec` that the user has otherwise.
        split, frame_list: as in `open_dataset`.
        limit: at most this many frames, evenly spaced.
        model: the model to be scored. If it comes from a training run on this folder, the frames
            which that run held back are scored, unless a split or a list is given.
    """

    data: Path
    dataset: str | None = None
    spec: Path | None = None
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    split: str | None = None
    frame_list: Path | None = None
    limit: int | None = None
    model: str | None = None

    def open(self) -> tuple[str, FrameSet]:
        """The set's name and its frames.

        Raises:
            MissingInput, DataError, ConfigError: as `open_dataset`.
            UsageError: an option does not fit the folder's specification.
        """
        # What the data room logs is among the notes of the frames.
        logging.getLogger("glpn.data").addHandler(logging.NullHandler())
        layout = self._layout()
        spec = _changed(layout.spec, self.changes)
        frames = open_dataset(self.data, spec, frame_list=self.frame_list, split=self.split)
        run = None if self.model is None else RunFrames.of(self.model)
        if run is not None:
            asked = self.split is not None or self.frame_list is not None
            frames = run.choose(frames, self.data, asked=asked)
        if self.limit is not None and self.limit < len(frames):
            chosen = np.linspace(0, len(frames) - 1, self.limit).round().astype(int)
            frames = frames.subset(chosen.tolist())
        # The notes' first says how the folder was recognised, which a specification hides.
        notes = (f"{self.data}: {layout.title}, {len(frames):,} frames", *frames.notes[1:])
        frames = dataclasses.replace(frames, notes=notes)
        name = self.dataset or _SETS.get(layout.name, layout.name)
        return name if name in PROTOCOLS else PLAIN, frames

    def settings(self, frames: FrameSet) -> dict[str, Any]:
        """The choice as JSON values, with a hash of the frames' names in their order."""
        names = "\n".join(frames.names)
        return {
            "data": str(self.data),
            "split": self.split,
            "list": None if self.frame_list is None else str(self.frame_list),
            "limit": self.limit,
            "frames_sha256": hashlib.sha256(names.encode()).hexdigest(),
            "reading": dataclasses.asdict(frames.reading),
        }

    def _layout(self) -> Layout:
        if not self.data.is_dir():
            raise MissingInput(f"{self.data}: no such folder")
        if self.spec is not None:
            return Layout(
                "described", f"described by {self.spec}", (), DatasetSpec.from_toml(self.spec)
            )
        if self.dataset in (None, PLAIN):
            return recognise(self.data)
        return known_layout(self.data, _LAYOUTS.get(self.dataset, self.dataset))


def set_of(folder: Path) -> str | None:
    """The set that a folder's files look like; None where they look like none of `PROTOCOLS`."""
    try:
        layout = recognise(folder)
    except (MissingInput, ConfigError):
        return None
    name = _SETS.get(layout.name, layout.name)
    return name if name in PROTOCOLS else None


def _changed(spec: DatasetSpec, changes: Mapping[str, Any]) -> DatasetSpec:
    """The specification with the user's changes; a scale displaces a unit, and a unit a scale."""
    if "scale" in changes:
        changes = {"unit": None, **changes}
    if "unit" in changes:
        changes = {"scale": None, **changes}
    try:
        return spec.replace(**changes)
    except ConfigError as e:
        raise UsageError(f"--{e}") from e


@dataclass(frozen=True)
class Evaluation:
    """Frames and the rules by which they are scored; settings are those of the result.

    What there is to say about the frames is in their `notes`. `geometry` has the scene file of
    each of iBims-1's frames that has one.
    """

    dataset: str
    frames: FrameSet
    protocol: Protocol
    settings: Mapping[str, Any]
    geometry: Mapping[str, Path] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        selection: Selection,
        named: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Evaluation:
        """Find the frames; the protocol is the one named, else the set's own, with changes.

        Raises:
            MissingInput, DataError, ConfigError, UsageError: as `Selection.open`; or there is no
                such protocol or option of one.
        """
        rules = None if named in (None, _PAPER) else protocol(named)
        dataset, frames = selection.open()
        rules = (rules or protocol(dataset)).replace(**(changes or {}))
        settings = {"dataset": dataset, **selection.settings(frames)}
        if dataset != _SURVEYED:
            return cls(dataset, frames, rules, settings)
        geometry = scene_files(selection.data, frames.names)
        lacking = len(frames) - len(geometry)
        if lacking:
            note = (
                "no geometry errors (planes, edges, directed depth) for "
                f"{lacking:,} of {len(frames):,} frames: they need the MATLAB release's NAME.mat "
                "(ibims1_core_mat) in the folder"
            )
            frames = dataclasses.replace(frames, notes=(*frames.notes, note))
        return cls(dataset, frames, rules, settings, geometry)


@dataclass(frozen=True)
class Model:
    """An estimator, what identifies it, and its settings in results."""

    estimator: DepthEstimator
    identity: str
    settings: Mapping[str, Any]

    @classmethod
    def load(cls, options: Mapping[str, Any]) -> Model:
        """Open a model, in float32; options and errors are those of `glpn.load`."""
        estimator = load(**{**options, "precision": "float32"})
        told = estimator.provenance
        # Asked of the module: the package may be onnxruntime-gpu.
        engine = f"{told.engine} {importlib.import_module(told.engine).__version__}"
        return cls(
            estimator,
            f"{told.model} (sha256 {told.model_hash}), {engine}, up to {told.max_depth:g} m",
            {
                "model": told.model,
                "model_sha256": told.model_hash,
                "max_depth": told.max_depth,
                "engine": engine,
                "device": options.get("device"),
                "threads": options.get("threads"),
            },
        )

    def sigma(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """One sigma in metres [H, W] of an image, from flip disagreement."""
        return self.estimator.flip_sigma(image, self.estimator.metres(image))


def score(
    evaluation: Evaluation,
    model: Model,
    *,
    advance: Callable[[], None],
    save: Callable[[str, NDArray[Any]], None] | None = None,
) -> Result:
    """Run the model over all frames; arguments and errors as `glpn.evaluation.runner.evaluate`.

    `advance` is called after each frame, here and below.
    """
    result = evaluate(
        _surveyed(evaluation, advance),
        model.estimator.metres,
        protocol=evaluation.protocol,
        model=model.identity,
        save=save,
    )
    reach = float(model.settings["max_depth"])
    return dataclasses.replace(
        result,
        settings={**evaluation.settings, **model.settings},
        warnings=(*_frame_warnings(evaluation.frames, reach), *result.warnings),
    )


def _frame_warnings(frames: FrameSet, reach: float) -> Iterator[str]:
    """What the set itself warns of, and labels that the model cannot reach."""
    yield from frames.warnings
    if frames.frames[0].is_scene:
        return
    share = share_beyond(frames.frames, frames.reading, reach)
    if share > MAX_SHARE_BEYOND:
        yield f"{share:.0%} of the labels lie beyond the model's range of {reach:g} m"


def score_pngs(
    evaluation: Evaluation, folder: Path, *, scale: float, advance: Callable[[], None]
) -> Result:
    """Score saved predictions; arguments and errors as `from_pngs`."""
    result = from_pngs(
        _surveyed(evaluation, advance),
        folder,
        names=evaluation.frames.names,
        scale=scale,
        protocol=evaluation.protocol,
    )
    return dataclasses.replace(result, settings={**evaluation.settings, "pngs": str(folder)})


def study(
    evaluation: Evaluation,
    model: Model,
    *,
    severities: tuple[int, ...],
    partial: Path | None,
    advance: Callable[[], None],
) -> Robustness:
    """Score the model under every corruption; arguments and errors as `robustness`."""
    context = {**evaluation.settings, **model.settings}
    wanted = Study(evaluation.protocol, severities=severities, context=context)
    return robustness(
        _counted(evaluation.frames, advance),
        model.estimator.metres,
        study=wanted,
        model=model.identity,
        partial=partial,
    )


def _counted(frames: FrameSet, advance: Callable[[], None]) -> Iterator[Sample]:
    for frame in frames:
        yield frame
        advance()


def _surveyed(
    evaluation: Evaluation, advance: Callable[[], None]
) -> Iterator[Sample | SurveyedFrame]:
    for frame in _counted(evaluation.frames, advance):
        yield surveyed(frame, evaluation.geometry.get(frame.name))


def require_free(folder: Path, names: tuple[str, ...], *, overwrite: bool) -> None:
    """Refuse a folder that results cannot be written into, before anything is computed.

    Raises:
        CannotCreateOutput: one of these files is there, or the folder cannot be written.
    """
    there = [folder / name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise CannotCreateOutput(f"{there[0]}: exists already; --overwrite replaces it")
    files.require_writable_folder(folder)


def write(folder: Path, texts: Mapping[str, str]) -> Iterator[Path]:
    """Write UTF-8 texts under their names, each whole or not at all; gives each file's path.

    Raises:
        CannotCreateOutput, OutputFailed: one cannot be written.
    """
    for name, text in texts.items():
        with files.atomic_file(folder / name, overwrite=True) as file:
            file.write(text.encode())
        yield folder / name
