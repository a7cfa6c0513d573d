"""The build hook: the same source gives the same library in any folder."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux" or not shutil.which("cc"), reason="needs cc, on Linux"
    ),
]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_c_file_of_the_package_is_built(hook: ModuleType) -> None:
    found = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.c")}
    assert found == set(hook.SOURCES)


def test_a_library_has_the_same_bytes_from_any_folder(hook: ModuleType, tmp_path: Path) -> None:
    builder = hook.KernelHook(str(tmp_path), {}, None, None, str(tmp_path), "wheel")
    libraries = []
    for name in ("a", "another-folder"):
        shutil.copytree(ROOT / "src/glpn/native", tmp_path / name)
        library = tmp_path / f"{name}.so"
        assert builder.compile(tmp_path / name / "enlarge.c", library)
        libraries.append(library.read_bytes())
    assert libraries[0] == libraries[1]
    assert str(tmp_path).encode() not in libraries[0]
