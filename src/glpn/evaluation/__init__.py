"""Evaluation: published protocols to the letter, every number with its interval and settings.

`evaluate` measures a model on a folder. `metrics` holds the only formulas, `protocols` the masks
and options, `statistics` the intervals. `scoring` chooses frames and models, `runner`, `robustness`
and `pngs` score them, `pipeline` moves frames, `result` writes what was found, `journal` keeps a
long run and `report` draws it. `corruptions`, `ibims` and `uncertainty` are pure functions on
arrays; `geometry` gathers the errors of `ibims` over a set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glpn.evaluation.api import evaluate as evaluate
    from glpn.evaluation.result import Result as Result

__all__ = ["Result", "evaluate"]


def __getattr__(name: str) -> object:
    """Import the public names on first use, so that a single formula costs no model."""
    if name == "evaluate":
        from glpn.evaluation.api import evaluate

        return evaluate
    if name == "Result":
        from glpn.evaluation.result import Result

        return Result
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
