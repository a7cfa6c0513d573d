"""Training: a recipe in, checkpoints and a model folder out. A killed run resumes bit-identically.

`api.train` is the public function. `recipe` and `options` define a run; `trainer` sets it up and
runs its loop, and `step` makes one update. `preparation` makes the network and the data: `data`
opens the frames, `batches` decides which of them form which batch, and `reading` reads and augments
them ahead of time. The other files: `optimiser` (rates, schedule, averaged weights), `losses` (also
a teacher's), `validation`, `checkpoint`, `log` and `distributed` (several processes).
"""

from __future__ import annotations

from glpn.training.api import Result as Result
from glpn.training.api import train as train
