"""Training: a recipe in, checkpoints and a model folder out; a killed run continues to the bit.

`recipe` and `options` say what is wanted, `loop` does it, one file per part: `order` and `feed`
(which frames, read and augmented), `network`, `optimiser`, `schedule`, `step` (one update), `ema`,
`validate`, `checkpoint` with `state` and `lock`, `log`, `parallel` (several processes).
"""
