"""Selects frames, runs a model over them and writes results, for `evaluate` and `reproduce`."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import logging
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glpn import files, weights
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.data.frames import FrameSet, plural
from glpn.data.ibims import scene_files
from glpn.data.layouts import Layout, known_layout, recognise
from glpn.data.probing import range_warning
from glpn.data.sample import Sample
from glpn.engines.options import EngineOptions
from glpn.errors import CannotCreateOutput, ConfigError, MissingInput, UsageError
from glpn.estimator import DepthEstimator
from glpn.evaluation.geometry import surveyed
from glpn.evaluation.protocols import PROTOCOLS, Protocol, protocol
from glpn.evaluation.result import Result
from glpn.evaluation.robustness import Robustness, Study, robustness
from glpn.evaluation.run_frames import RunFrames
from glpn.evaluation.runner import evaluate
from glpn.evaluation.saved_predictions import from_pngs
from glpn.processing.processor import GLPNImageProcessor

PLAIN = "folder"  # the name of every dataset without a published protocol
_LAYOUTS = {"ibims": "ibims1"}  # dataset → layout, if their names differ
_SETS = {layout: name for name, layout in _LAYOUTS.items()}
_SURVEYED = "ibims"  # the dataset with planes and edges
_PAPER = "paper"  # this protocol name selects the dataset's own protocol


@dataclass(frozen=True)
class Selection:
    """A selection of frames to score.

    Attributes:
        data: the folder.
        dataset: a key of `PROTOCOLS`; None recognises it from the folder's files.
        spec: a `dataset.toml` that describes the folder.
        changes: fields that replace those of the `DatasetSpec`.
        split, frame_list: see `open_dataset`.
        limit: the largest number of frames, evenly spaced.
        model: the model to score. If it comes from a training run on this folder, only the frames
            that the run held out are scored, unless a split or a list is given.
    """

    data: Path
    dataset: str | None = None
    spec: Path | None = None
    changes: Mapping[str, object] = dataclasses.field(default_factory=dict)
    split: str | None = None
    frame_list: Path | None = None
    limit: int | None = None
    model: str | None = None

    def open(self) -> tuple[str, FrameSet]:
        """Return the dataset's name and its frames.

        Raises:
            MissingInput, DataError, ConfigError: as `open_dataset`.
            UsageError: an option does not fit the folder's specification.
        """
        # The frames' notes already contain the log messages of `glpn.data`.
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
        # The first note would describe the explicit specification, so the layout replaces it.
        notes = (f"{self.data}: {layout.title}, {plural(len(frames), 'frame')}", *frames.notes[1:])
        frames = dataclasses.replace(frames, notes=notes)
        name = self.dataset or _SETS.get(layout.name, layout.name)
        return name if name in PROTOCOLS else PLAIN, frames

    def settings(self, frames: FrameSet) -> dict[str, object]:
        """Return the selection as JSON values, with a hash of the frames' names in order."""
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
    """Recognise the dataset from a folder's files; None if it is none of `PROTOCOLS`."""
    try:
        layout = recognise(folder)
    except (MissingInput, ConfigError):
        return None
    name = _SETS.get(layout.name, layout.name)
    return name if name in PROTOCOLS else None


def _changed(spec: DatasetSpec, changes: Mapping[str, object]) -> DatasetSpec:
    """Apply the user's changes to the specification; a scale replaces a unit and vice versa."""
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
    """Frames, the rules of their scoring, and the settings for the result.

    The frames' `notes` contain the messages for the user. `geometry` maps iBims-1's frames to their
    scene files, if there are any.
    """

    dataset: str
    frames: FrameSet
    protocol: Protocol
    settings: Mapping[str, object]
    geometry: Mapping[str, Path] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        selection: Selection,
        named: str | None = None,
        changes: Mapping[str, object] | None = None,
    ) -> Evaluation:
        """Find the frames and the protocol: the named one or the dataset's own, with changes.

        Raises:
            MissingInput, DataError, ConfigError, UsageError: as `Selection.open`; also if the
                protocol, or an option of it, is unknown.
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
    """An estimator with its identity and settings for results."""

    estimator: DepthEstimator
    identity: str
    settings: Mapping[str, object]

    @classmethod
    def load(cls, options: EngineOptions) -> Model:
        """Open a model, always in float32; raises the errors of `glpn.load`."""
        estimator = DepthEstimator.open(dataclasses.replace(options, precision="float32"))
        provenance = estimator.provenance
        # Read the version from the module, because the package may be onnxruntime-gpu.
        engine = f"{provenance.engine} {importlib.import_module(provenance.engine).__version__}"
        return cls(
            estimator,
            f"{provenance.model} (sha256 {provenance.model_hash}), {engine}, "
            f"up to {provenance.max_depth:g} m",
            {
                "model": provenance.model,
                "model_sha256": provenance.model_hash,
                "max_depth": provenance.max_depth,
                "engine": engine,
                "device": options.device,
                "threads": options.threads,
            },
        )

    @property
    def max_depth(self) -> float:
        """The largest depth in metres that the model can predict."""
        return float(self.estimator.engine.config.max_depth)

    def sigma(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return one sigma in metres [H, W]: flip disagreement, and measured errors if any."""
        sigma = self.estimator.sigma(image, self.estimator.metres(image), "flip")
        return typing.cast("NDArray[np.float32]", sigma)


def known_focal(options: EngineOptions) -> dict[str, object]:
    """Return the field of `Protocol` that scales metres to the focal length of each frame.

    Raises:
        UsageError: the model does not state the focal length that it was trained with.
    """
    folder = weights.resolve(options.model, **dataclasses.asdict(options.hub))
    ratio = GLPNImageProcessor.from_pretrained(folder).focal_ratio
    if ratio is None:
        raise UsageError(
            f"known focal length: {options.model} does not state its own camera (focal_ratio in "
            "preprocessor_config.json)"
        )
    return {"focal_ratio": ratio}


def score(
    evaluation: Evaluation,
    model: Model,
    *,
    advance: Callable[[], None],
    save: Callable[[str, NDArray[np.floating]], None] | None = None,
) -> Result:
    """Run the model over all frames.

    Arguments and exceptions as in `glpn.evaluation.runner.evaluate`. `advance` is called after each
    frame, here and in the functions below.
    """
    result = evaluate(
        _surveyed(evaluation, advance),
        model.estimator.metres,
        protocol=evaluation.protocol,
        model=model.identity,
        save=save,
    )
    reach = model.max_depth
    return dataclasses.replace(
        result,
        settings={**evaluation.settings, **model.settings},
        warnings=(*_frame_warnings(evaluation.frames, reach), *result.warnings),
    )


def _frame_warnings(frames: FrameSet, reach: float) -> Iterator[str]:
    """Yield the dataset's own warnings, and one if most labels exceed the model's range."""
    yield from frames.warnings
    beyond = range_warning(frames, reach)
    if beyond is not None:
        yield beyond


def score_pngs(
    evaluation: Evaluation, folder: Path, *, scale: float, advance: Callable[[], None]
) -> Result:
    """Score saved predictions; arguments and exceptions as in `from_pngs`."""
    result = from_pngs(
        _surveyed(evaluation, advance),
        folder,
        names=evaluation.frames.names,
        scale=scale,
        protocol=evaluation.protocol,
    )
    return dataclasses.replace(
        result,
        settings={**evaluation.settings, "pngs": str(folder)},
        warnings=(*evaluation.frames.warnings, *result.warnings),
    )


def study(
    evaluation: Evaluation,
    model: Model,
    *,
    severities: tuple[int, ...],
    partial: Path | None,
    advance: Callable[[], None],
) -> Robustness:
    """Score the model under every corruption; arguments and exceptions as in `robustness`."""
    context = {**evaluation.settings, **model.settings}
    wanted = Study(evaluation.protocol, severities=severities, context=context)
    found = robustness(
        _counted(evaluation.frames, advance),
        model.estimator.metres,
        study=wanted,
        model=model.identity,
        partial=partial,
    )
    warnings = tuple(_frame_warnings(evaluation.frames, model.max_depth))
    return dataclasses.replace(found, warnings=warnings)


def _counted(frames: FrameSet, advance: Callable[[], None]) -> Iterator[Sample]:
    for frame in frames:
        yield frame
        advance()


def _surveyed(evaluation: Evaluation, advance: Callable[[], None]) -> Iterator[Sample]:
    for frame in _counted(evaluation.frames, advance):
        yield surveyed(frame, evaluation.geometry.get(frame.name))


def require_free(folder: Path, names: tuple[str, ...], *, overwrite: bool) -> None:
    """Check before any computation that results can be written into a folder.

    Raises:
        CannotCreateOutput: one of these files exists, or the folder cannot be written.
    """
    there = [folder / name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise CannotCreateOutput(f"{there[0]}: exists already; --overwrite replaces it")
    files.require_writable_folder(folder)


def write(folder: Path, texts: Mapping[str, str]) -> Iterator[Path]:
    """Write each UTF-8 text atomically to the file of its name; yield the paths.

    Raises:
        CannotCreateOutput, OutputFailed: a file cannot be written.
    """
    for name, text in texts.items():
        files.write_file(folder / name, text.encode())
        yield folder / name
