"""Jobs: many photos into one folder, several at a time, resumable, in shards.

`JobSpec` specifies the work. `FolderJob` runs over a list of photos with `PhotoJob`, which
processes one photo independently of the others. `Manifest` records the results and `Shard` divides
the photos between runs.

A cluster does the same with one `PhotoJob` per worker. Each worker writes its own manifest
(`manifest-NAME.jsonl`), and the next run reads them all. Workers share nothing else: an output
appears complete under its name and records its photo and model, so that a photo whose manifest
line was lost is not predicted twice.
"""

from __future__ import annotations

from glpn.jobs.folder_job import FolderJob, identities
from glpn.jobs.identity import OutputIdentity
from glpn.jobs.manifest import Entry, Manifest
from glpn.jobs.photo_job import FATAL_ERRORS, PhotoJob, PhotoResult
from glpn.jobs.shards import Shard
from glpn.jobs.shared_estimator import SharedEstimator
from glpn.jobs.spec import EstimatorCall, JobPhoto, JobSpec

__all__ = [
    "FATAL_ERRORS",
    "Entry",
    "EstimatorCall",
    "FolderJob",
    "JobPhoto",
    "JobSpec",
    "Manifest",
    "OutputIdentity",
    "PhotoJob",
    "PhotoResult",
    "Shard",
    "SharedEstimator",
    "identities",
]
