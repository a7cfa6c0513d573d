"""Cluster: one job on many machines, with Ray Data.

`places` are local folders or URLs; a `Worker` processes photos with an open model; `session` starts
or joins Ray; `run` sends photos to workers and yields the results. Ray transfers only names and
results: photos and files go directly between workers and places.
"""

from __future__ import annotations

from glpn.cluster.places import Place, place_of
from glpn.cluster.run import Result, prepare, run
from glpn.cluster.session import LOCAL, session

__all__ = ["LOCAL", "Place", "Result", "place_of", "prepare", "run", "session"]
