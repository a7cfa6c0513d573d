"""Every row of docs/situations.md links to a test that exists."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.images import FILES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/situations.md").read_text("utf-8")
ROW = re.compile(r'\| (.+) \| (.+) \| \[test\]\(\.\./(tests/\S+) "(\w+)(?:\[(.+)\])?"\) \|')
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "| what hap" not in line]


@functools.cache
def functions(file: str) -> set[str]:
    """The names of a test file's functions."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_table_is_long_and_names_no_situation_twice() -> None:
    situations = {line.split(" | ")[0] for line in ROWS}
    assert len(situations) == len(ROWS) >= 60


@pytest.mark.parametrize("line", ROWS, ids=lambda line: line.split(" | ")[0].strip("| "))
def test_the_test_of_a_row_exists(line: Any) -> None:
    row = ROW.fullmatch(line)
    assert row is not None, line
    _, _, file, name, case = row.groups()
    assert name.startswith("test_") and name in functions(file)
    assert case is None or case in {each.id for each in FILES}
