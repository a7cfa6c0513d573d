"""The short form of the flip study."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from glpn import weights
from tests.chaos.flips import study

pytestmark = pytest.mark.slow


def test_a_changed_byte_never_changes_the_metres_unnoticed(tmp_path: Path) -> None:
    folder = shutil.copytree(weights.bundled()["glpn-b0-indoor"], tmp_path / "model")
    found = study(folder, 6)
    assert len(found) == 8
    assert sum(counts["silent"] for counts in found.values()) == 0
    assert all(counts["detected"] == 6 for counts in found.values()), found
