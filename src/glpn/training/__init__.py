"""Training: a recipe in, checkpoints and a model folder out. A killed run resumes bit-identically.

`api.train` is the public function. `recipe` and `options` define a run; `trainer` sets it up and
runs its loop, and `step` makes one update. `data` opens the frames and decides which of them form
which batch; `loading` reads and augments them ahead of time. The other files: `network` (first
weights), `optimiser` (rates, schedule, averaged weights), `losses`, `teacher`, `validation`,
`checkpoint`, `log` and `distributed` (several processes).
"""

from __future__ import annotations

from glpn.training.api import Result as Result
from glpn.training.api import train as train
