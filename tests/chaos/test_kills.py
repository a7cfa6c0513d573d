"""The short form of the kill study."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and fork"),
]


@pytest.mark.parametrize(
    ("job", "every", "kills"),
    [("video-png16", 8, 3), ("video-mp4", 3, 2), ("export-onnx", 3, 3), ("export-own-graph", 5, 3)],
)
def test_a_job_killed_at_a_change_of_the_file_system_ends_with_the_same_bytes(
    job: str, every: int, kills: int
) -> None:
    line = [sys.executable, "-m", "tests.chaos.kills", job, "--every", str(every)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert f"killed {kills} times: same bytes" in done.stdout, done.stderr
