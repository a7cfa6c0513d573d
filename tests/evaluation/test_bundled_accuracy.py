"""The bundled weights keep their accuracy, with every engine and on every CPU.

The eight rooms come from `tests/golden/make_rooms.py`. A change of these figures is a change of
everybody's metres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import glpn
from glpn.engines.registry import TABLE
from glpn.errors import MissingDependency
from glpn.evaluation.metrics import pixel_sums
from tests.golden.make_rooms import ROOMS, SEEDS

# Model → (δ1, AbsRel) with each room's camera given, means over rooms.
FIGURES = {"glpn-b0-indoor": (0.6482, 0.2364), "glpn-b0-rooms": (0.7369, 0.1959)}
MAX_CHANGE = 0.005  # float32 engines agree to 0.0001; reduced precision may differ by this


@pytest.mark.slow
@pytest.mark.parametrize("engine", [row.name for row in TABLE])
@pytest.mark.parametrize("model", FIGURES)
@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_a_bundled_model_has_its_accuracy_on_rendered_rooms(
    model: str, engine: Any, precision: str
) -> None:
    try:
        estimator = glpn.load(model, engine=engine, precision=precision)
    except MissingDependency as e:
        pytest.skip(str(e))
    scores = []
    for seed in SEEDS:
        true = glpn.read_depth(ROOMS / f"{seed}.png")
        depth = estimator(ROOMS / f"{seed}.jpg", camera=true.camera)
        metrics = pixel_sums(depth.metres, true.metres, true.metres > 0).metrics()
        scores.append((metrics.delta1, metrics.abs_rel))
    assert np.mean(scores, axis=0) == pytest.approx(FIGURES[model], abs=MAX_CHANGE)
