"""Every kernel runs under the sanitizers, and the sanitizers see an access beyond an array."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _runtime() -> bool:
    """Whether the compiler brings AddressSanitizer's library; it prints only the name if not."""
    if sys.platform != "linux" or not shutil.which("cc"):
        return False
    ask = ["cc", "-print-file-name=libasan.so"]
    return "/" in subprocess.run(ask, capture_output=True, text=True, check=True).stdout


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _runtime(), reason="needs cc with AddressSanitizer, on Linux"),
]


def sanitized(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "scripts/sanitize", sys.executable, "-m", "tests.native.random_shapes"]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_random_shapes_raise_no_report() -> None:
    done = sanitized("--calls", "242")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "rendering 2" in done.stdout


def test_a_row_beyond_an_array_is_reported() -> None:
    done = sanitized("--calls", "0", "--overrun")
    assert done.returncode == 99
    assert "heap-buffer-overflow" in done.stderr
    assert "enlarge.c" in done.stderr
