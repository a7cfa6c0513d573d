"""What a file says of itself, read without its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from glpn import files
from tests.depths import a_depth, save


@pytest.mark.parametrize("format", files.FORMATS)
def test_every_format_tells_its_origin_without_its_pixels(tmp_path: Path, format: Any) -> None:
    depth = a_depth()
    recorded = files.label(save(depth, tmp_path, format), format)
    assert recorded["model_hash"] == "ab" * 32
    assert recorded["image"] == depth.provenance.image
    assert recorded["camera"]["fx"] == depth.camera.fx


@pytest.mark.parametrize("format", files.FORMATS)
@pytest.mark.parametrize("keep", [0, 10, 50])
def test_a_damaged_file_says_nothing(tmp_path: Path, format: Any, keep: int) -> None:
    path = save(a_depth(), tmp_path, format)
    path.write_bytes(path.read_bytes()[:keep])
    assert files.label(path, format) == {}
    assert files.label(tmp_path / "absent", format) == {}
