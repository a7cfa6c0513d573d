"""SharedEstimator: one model for a whole job, opened when needed and called by several threads."""

from __future__ import annotations

import functools
import threading
from dataclasses import asdict, replace
from pathlib import Path

from glpn import weights
from glpn.depth.depth import Depth
from glpn.engines.hardware import usable_cores
from glpn.engines.options import EngineOptions
from glpn.engines.registry import TABLE
from glpn.engines.uncertainty import require_uncertainty
from glpn.estimator import DepthEstimator
from glpn.image.photo import Photo
from glpn.jobs.spec import EstimatorCall

MAX_CONCURRENCY = 8  # predictions at a time; each holds the activations of one network
_CONCURRENT_ENGINES = tuple(row.name for row in TABLE if row.side_by_side)


class SharedEstimator:
    """Opens the model when it is first needed.

    Args:
        options: how to open it.
        photos: number of photos to come. Several are predicted at a time if that is faster.
        asked: the options to record in the provenance of every depth.
        uncertainty: a kind of uncertainty that the estimator must support.

    Attributes:
        concurrency: predictions that run at a time.
    """

    def __init__(
        self,
        options: EngineOptions,
        *,
        photos: int = 1,
        asked: str = "",
        uncertainty: str | None = None,
    ) -> None:
        self._options = options
        self._photos = photos
        self._asked = asked
        self._uncertainty = uncertainty
        self._opening = threading.Lock()
        self._estimator: DepthEstimator | None = None
        self._threads = options.threads or usable_cores()
        gains = options.engine in ("auto", *_CONCURRENT_ENGINES)
        self.concurrency = min(self._threads, MAX_CONCURRENCY, photos) if gains else 1
        self._running = threading.Semaphore(self.concurrency)

    @functools.cached_property
    def model_hash(self) -> str:
        """SHA-256 of the weights; does not open the model.

        Raises:
            MissingInput: the model does not exist.
        """
        return weights.weights_hash(self._folder)

    @functools.cached_property
    def settings_hash(self) -> str:
        """SHA-256 of the model's settings; does not open the model.

        Raises:
            MissingInput, ConfigError: the model does not exist, or its settings are damaged.
        """
        return weights.settings_hash(self._folder)

    @functools.cached_property
    def _folder(self) -> Path:
        return weights.resolve(self._options.model, **asdict(self._options.hub))

    def estimator(self) -> DepthEstimator:
        """The estimator, opened once; raises what `glpn.load` does, and `UsageError`."""
        with self._opening:
            if self._estimator is None:
                self._estimator = self._open()
            return self._estimator

    def _open(self) -> DepthEstimator:
        estimator = self._open_concurrent() if self.concurrency > 1 else None
        if estimator is None:
            estimator = DepthEstimator.open(self._options, photos=self._photos)
        require_uncertainty(self._uncertainty, estimator.engine)
        estimator.provenance = replace(estimator.provenance, asked=self._asked)
        return estimator

    def _open_concurrent(self) -> DepthEstimator | None:
        """An estimator for several calls at a time; None if its engine would not gain by it."""
        options = replace(self._options, threads=max(self._threads // self.concurrency, 1))
        estimator = DepthEstimator.open(options, photos=self._photos, concurrency=self.concurrency)
        if estimator.engine.name in _CONCURRENT_ENGINES:
            return estimator
        self.concurrency, self._running = 1, threading.Semaphore(1)
        return None

    def predict(self, photo: Photo, call: EstimatorCall) -> Depth:
        """The depth of one decoded photo; waits while `concurrency` others are predicted."""
        estimator = self.estimator()
        with self._running:
            return estimator(photo, **call)
