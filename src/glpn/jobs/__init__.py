"""Jobs: many photographs into one folder, resumable, in shards, several at a time.

`work` does one picture and knows nothing of the others; `manifest` remembers what is done;
`shards` shares them out; `sheet` shows them.

A cluster does the same with its own lanes: each worker holds one `Work` (its estimator is opened
once, when a picture needs it) and calls it with `Picture`s; each writes a manifest of its own
(`manifest-NAME.jsonl`), and whoever starts next reads them all. Nothing else is shared: an output
appears whole under its name, and says itself which photograph and model it was made from, so that
even a picture whose line was lost is not predicted twice.
"""

from __future__ import annotations

from glpn.jobs.manifest import Entry, Manifest
from glpn.jobs.opened import Opened
from glpn.jobs.origin import Origin
from glpn.jobs.shards import Shard
from glpn.jobs.work import FATAL, Order, Outcome, Picture, Work

__all__ = [
    "FATAL",
    "Entry",
    "Manifest",
    "Opened",
    "Order",
    "Origin",
    "Outcome",
    "Picture",
    "Shard",
    "Work",
]
