"""Cluster: one job over many machines, on Ray Data.

`places` are folders here or at a URL; `worker` does pictures with a model that stays open;
`session` starts or joins Ray; `run` sends pictures to workers and gives what became of them.
Ray only moves names and outcomes: photographs and files go straight between workers and places.
"""

from __future__ import annotations

from glpn.cluster.places import Place, place_of
from glpn.cluster.run import Result, prepare, run
from glpn.cluster.session import LOCAL, session
from glpn.cluster.worker import Job

__all__ = ["LOCAL", "Job", "Place", "Result", "place_of", "prepare", "run", "session"]
