"""Evaluation by the published protocols; every number comes with its interval and settings.

`evaluate` measures a model on a folder. `metrics` contains the formulas, `protocols` the masks and
options, `statistics` the intervals. `scoring` selects frames and models; `runner`, `robustness` and
`saved_predictions` score them. `pipeline` moves frames, `result` formats the scores, `journal` lets
a long run resume, and `report` draws the result. `corruptions`, `ibims` and `uncertainty` are pure
functions on arrays; `geometry` aggregates the errors of `ibims` over a dataset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glpn.evaluation.api import evaluate as evaluate
    from glpn.evaluation.result import Result as Result

__all__ = ["Result", "evaluate"]


def __getattr__(name: str) -> object:
    """Import public names on first use, so that a single formula loads no model code."""
    if name == "evaluate":
        from glpn.evaluation.api import evaluate

        return evaluate
    if name == "Result":
        from glpn.evaluation.result import Result

        return Result
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
