"""`evaluate`: the Python function behind `glpn evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from glpn.engines.options import DEFAULT_MODEL, EngineOptions
from glpn.evaluation.result import Result
from glpn.evaluation.scoring import Evaluation, Model, Selection, known_focal, score


def evaluate(
    data: str | Path,
    *,
    model: str = DEFAULT_MODEL,
    dataset: str | None = None,
    split: str | None = None,
    frame_list: str | Path | None = None,
    limit: int | None = None,
    reading: Mapping[str, object] | None = None,
    protocol: str | None = None,
    rules: Mapping[str, object] | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    max_depth: float | None = None,
    use_focal: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Result:
    """Measure a model on a folder of frames, as `glpn evaluate` does.

    Args:
        data: the folder.
        model: a bundled name, a folder or a hub id. If it comes from a training run on this
            folder, only the frames that the run held out are scored.
        dataset: a key of `PROTOCOLS`; None recognises it from the folder's files.
        split, frame_list, limit: select the frames; see `Selection`.
        reading: fields of `DatasetSpec` to change, such as `{"unit": "mm"}`.
        protocol: a name in `PROTOCOLS`; None takes the dataset's own.
        rules: fields of `Protocol` to change, such as `{"max_depth": 8.0}`.
        engine, device, threads, max_depth: see `glpn.load`; the precision is float32.
        use_focal: multiply the metres by the ratio of the focal length of each frame's camera to
            that of the model's, as prediction does; frames need a known camera.
        advance: called after each frame.

    Returns:
        Means with intervals, one row per image, warnings, and every setting behind the figures.

    Raises:
        MissingInput, DataError, ConfigError, InvalidImage: the frames or the model are missing or
            unusable.
        UsageError: an option is invalid.
    """
    selection = Selection(
        data=Path(data),
        dataset=dataset,
        changes=reading or {},
        split=split,
        frame_list=None if frame_list is None else Path(frame_list),
        limit=limit,
        model=model,
    )
    options = EngineOptions(model, engine, device, threads, max_depth)
    focal = known_focal(options) if use_focal else {}
    evaluation = Evaluation.of(selection, protocol, {**(rules or {}), **focal})
    return score(evaluation, Model.load(options), advance=advance)
