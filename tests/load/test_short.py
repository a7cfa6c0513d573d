"""Short forms of the load scenarios; `python -m tests.load.run` runs the long ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.load import run

SIZES = {"burst": {"count": 200}, "leaving": {"count": 40}, "slow": {"idle": 1100}}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["steady", "overload", "burst", "leaving", "slow"])
def test_the_promise_holds(model: Path, name: str) -> None:
    figures = run.run(name, str(model), seconds=2, requests=0, **SIZES.get(name, {}))
    assert figures["held"], figures


@pytest.mark.slow
def test_hostile_files_do_not_stop_normal_clients(model: Path) -> None:
    figures = run.run("hostile", str(model), seconds=4, requests=0)
    assert set(figures["beside"]["statuses"]) == {"200"}, figures


@pytest.mark.slow
def test_memory_stays(model: Path) -> None:
    figures = run.run("drift", str(model), seconds=0, requests=200)
    assert figures["growth"] < 0.2, figures  # the long form promises 2 % after 1,000 requests
