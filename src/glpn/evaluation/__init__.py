"""Evaluation: published protocols to the letter, every number with its interval and its settings.

`metrics` holds the only formulas, `protocols` the masks and options, `statistics` the intervals.
`runner` (evaluate), `robustness` and `pngs` (from_pngs) are the doors; behind them `pipeline` moves
frames, `result` writes what was found, `journal` keeps a long run and `report` draws it.
`corruptions`, `ibims` and `uncertainty` are pure functions on arrays; `geometry` gathers the errors
of `ibims` over a set.
"""
