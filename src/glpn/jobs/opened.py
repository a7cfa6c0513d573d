"""Opened: one model for a whole job, opened when it is needed and used by several threads."""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Mapping
from typing import Any

from glpn import weights
from glpn.depth.depth import Depth
from glpn.engines.hardware import usable_cores
from glpn.engines.registry import TABLE
from glpn.estimator import DepthEstimator, load

_MOST_LANES = 8  # predictions at a time: each has the memory of a network at work
_SIDE_BY_SIDE = tuple(row.name for row in TABLE if row.side_by_side)


class Opened:
    """A model that is opened when it is first needed, and used by several threads.

    Args:
        options: of `glpn.load`, `model` among them; `photos` is `photographs` unless it is given.
        asked: for the provenance of every depth.
        photographs: how many there are; with more than one, several are predicted side by side
            where that is faster.
        uncertainty: that it must be able to tell.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        asked: str = "",
        photographs: int = 1,
        uncertainty: str | None = None,
    ) -> None:
        self._options = {"photos": photographs, **options}
        self._asked = asked
        self._uncertainty = uncertainty
        self._opening = threading.Lock()
        self._estimator: DepthEstimator | None = None
        threads = options.get("threads") or usable_cores()
        fits = options.get("engine") in ("auto", *_SIDE_BY_SIDE)
        self.lanes = min(threads, _MOST_LANES, photographs) if fits else 1
        self._running = threading.Semaphore(self.lanes)

    @functools.cached_property
    def model_hash(self) -> str:
        """SHA-256 of the weights, which are not opened for it.

        Raises:
            MissingInput: there is no such model.
        """
        folder = weights.resolve(self._options["model"])
        return weights.file_hash(folder / weights.WEIGHTS_NAME)

    def estimator(self) -> DepthEstimator:
        """The one estimator; errors are those of `glpn.load`, and `UsageError`."""
        with self._opening:
            if self._estimator is None:
                self._estimator = self._open()
            return self._estimator

    def _open(self) -> DepthEstimator:
        threads = self._options.get("threads")
        if self.lanes > 1:
            each = max((threads or usable_cores()) // self.lanes, 1)
            estimator = load(**{**self._options, "threads": each, "concurrency": self.lanes})
            if estimator.engine.name not in _SIDE_BY_SIDE:
                self.lanes, self._running = 1, threading.Semaphore(1)
                estimator = load(**{**self._options, "threads": threads or usable_cores()})
        else:
            estimator = load(**self._options)
        estimator.require_uncertainty(self._uncertainty)
        estimator.provenance = dataclasses.replace(estimator.provenance, asked=self._asked)
        return estimator

    def predict(self, photo: Any, call: Mapping[str, Any]) -> Depth:
        """The depth of one decoded photograph; waits until a lane is free."""
        estimator = self.estimator()
        with self._running:
            depth: Depth = estimator(photo, **call)
        return depth
