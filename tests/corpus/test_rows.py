"""The list of bad inputs, row by row: every row has a case in the corpus or a test elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.corpus.images import ARRAYS, FILES

ROOT = Path(__file__).parents[2]

# Row → the file with its tests, for rows that are not cases of `images.py`. Cases run through
# Python (tests/image/test_photo.py), `glpn predict` (tests/cli/test_corpus.py) and the service
# (tests/serving/test_responses.py).
ELSEWHERE = {
    32: "processing/test_processor.py",
    33: "processing/test_processor.py",
    34: "training/test_loop.py",
    35: "network/test_loss.py",
    36: "network/test_loss.py",
    37: "data/test_depthmaps.py",
    38: "data/test_datasets.py",
    39: "data/test_depthmaps.py",
    40: "data/test_datasets.py",
    41: "data/test_doctor.py",
    42: "training/test_loop.py",
    43: "training/test_checkpoint.py",
    44: "weights/test_foreign.py",
    45: "weights/test_foreign.py",
    46: "weights/test_store.py",
    47: "weights/test_store.py",
    48: "weights/test_store.py",
    49: "network/test_config.py",
    50: "weights/test_store.py",
    51: "weights/test_store.py",
    52: "files/test_paths.py",
    53: "files/test_paths.py",
    54: "files/test_paths.py",
    55: "cli/test_predict.py",
    56: "cli/test_predict.py",
    57: "data/test_datasets.py",
    58: "training/test_resume.py",
    59: "training/test_resume.py",
    60: "training/test_resume.py",
    61: "training/test_loop.py",
    62: "training/test_loop.py",
    63: "serving/test_load.py",
    64: "serving/test_limits.py",
    65: "serving/test_limits.py",
    66: "serving/test_limits.py",
    67: "serving/test_limits.py",
    68: "serving/test_responses.py",
    69: "serving/test_page.py",
    70: "serving/test_limits.py",
    71: "serving/test_responses.py",
    72: "serving/test_responses.py",
    73: "weights/test_integrity.py",
    74: "weights/test_integrity.py",
    77: "engines/test_registry.py",
    78: "camera/test_selection.py",
    79: "cli/test_twice.py",
    80: "files/test_paths.py",
    81: "test_records.py",
    82: "cli/test_damaged_graph.py",
    83: "image/test_limits.py",
    84: "files/test_jsonl.py",
    85: "cli/test_twice.py",
    86: "cli/test_twice.py",
    87: "test_front_door.py",
    88: "serving/test_connections.py",
    89: "serving/test_connections.py",
    90: "serving/test_connections.py",
    91: "data/test_doctor.py",
    92: "data/test_doctor.py",
    93: "camera/test_intrinsics.py",
    94: "image/test_limits.py",
}


def test_every_row_has_a_case_or_a_test() -> None:
    cases = {case.row for case in (*FILES, *ARRAYS)}
    assert cases | ELSEWHERE.keys() == set(range(1, 95))


@pytest.mark.parametrize("file", sorted(set(ELSEWHERE.values())))
def test_the_files_that_the_rows_name_exist(file: Any) -> None:
    assert (ROOT / "tests" / file).is_file()
