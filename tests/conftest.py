"""Shared settings: deterministic property tests, and where the real RGB-D frames lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:  # one worker per core: further threads only wait
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

settings.register_profile(
    "glpn",
    deadline=None,  # machines are noisy
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("glpn")


@pytest.fixture(scope="session", autouse=True)
def _no_cache() -> Iterator[None]:
    """No test chooses an engine by what another test, or anyone on this machine, measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLPN_CACHE", os.path.join(os.devnull, "cache"))
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real frames (environment variable GLPN_DATA); skips where it is absent."""
    folder = os.environ.get("GLPN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set GLPN_DATA to the folder of real frames")
    return Path(folder).resolve()
