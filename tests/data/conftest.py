"""The tests of this folder show the bundled model each synthetic room only once."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pytest

from glpn.data import model_opinion
from glpn.estimator import DepthEstimator
from glpn.processing.processor import GLPNImageProcessor


class RememberedEstimator:
    """The bundled estimator; most tests change the labels only, so a photo is predicted once."""

    def __init__(self, estimator: DepthEstimator) -> None:
        self.estimator = estimator
        self.seen: dict[tuple[tuple[int, ...], bytes], np.ndarray] = {}

    @property
    def processor(self) -> GLPNImageProcessor:
        return self.estimator.processor

    def metres(self, image: np.ndarray) -> np.ndarray:
        key = image.shape, image.tobytes()
        if key not in self.seen:
            self.seen[key] = self.estimator.metres(image)
        return self.seen[key].copy()


@pytest.fixture(scope="package", autouse=True)
def _one_prediction_per_photo() -> Iterator[None]:
    own = model_opinion.bundled_estimator
    remembered = functools.cache(lambda: RememberedEstimator(own()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_opinion, "bundled_estimator", remembered)
        yield
