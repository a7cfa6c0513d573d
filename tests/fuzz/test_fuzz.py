"""A short run of every fuzzer; `python -m tests.fuzz.run` is the long one."""

from __future__ import annotations

import pytest

from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_only_our_own_errors_leave_a_reader_of_mutated_bytes(name):
    assert fuzz(TARGETS[name], seconds=3) > 0
