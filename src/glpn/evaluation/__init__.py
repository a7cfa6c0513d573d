"""Evaluation: published protocols to the letter, every number with its interval and its settings.

`metrics` holds the only formulas, `protocols` the masks and options, `statistics` the intervals,
`runner` and `robustness` the loops over frames; `corruptions`, `pngs`, `ibims` and `uncertainty`
serve one study each.
"""
