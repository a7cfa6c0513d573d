"""A job's memory: large blocks are kept from one photograph to the next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PROGRAM = """
import ctypes
import resource
import numpy as np
from glpn.jobs.memory import keep_large_blocks

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        held = [np.ones(2**20, np.float32) for _ in range(8)]  # 4 MiB, 1024 pages each
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

PR_SET_THP_DISABLE = 41  # huge pages, where they are always on, hide the faults
ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
faults()
before = faults()
assert keep_large_blocks()
faults()
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are not tuned")
def test_large_arrays_no_longer_cost_page_faults() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    before, after = map(int, run.stdout.split())
    assert before > 10_000  # of 81,920 pages
    assert after < 1000
