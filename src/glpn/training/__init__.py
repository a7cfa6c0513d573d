"""Training: a recipe in, checkpoints and a model folder out; a killed run continues to the bit.

`entry.train` is the door. `recipe` and `options` say what is wanted; `run` begins a run or takes it
up where it ended, `material` makes its frames ready, `loop` does the steps. A file for each part:
`order`, `frames`, `reading` and `feed` (which frames, read and augmented ahead of time), `network`,
`optimiser`, `schedule`, `step` (one update), `ema`, `validate`, `checkpoint` with `state` and
`lock`, `log`, `signals`, `parallel` (several processes).
"""
