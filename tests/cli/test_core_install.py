"""What an install without torch says; torch is hidden from a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

WITHOUT_TORCH = """
import importlib.abc, sys

class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hide())
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: (
    None if name == "torch" else real(name, package)
)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + code], capture_output=True, text=True, timeout=120
    )


def test_help_works_without_torch() -> None:
    done = run("import glpn, pydoc; print(pydoc.render_doc(glpn, renderer=pydoc.plaintext))")
    assert done.returncode == 0, done.stderr
    assert "load(" in done.stdout and "GLPNConfig" in done.stdout


def test_importing_a_network_names_the_command_that_installs_torch() -> None:
    done = run(
        "try:\n    from glpn import GLPNForDepthEstimation\n"
        "except ImportError as e:\n    print(type(e).__name__, e)\n"
    )
    assert done.stdout == (
        "MissingDependency glpn.GLPNForDepthEstimation needs torch: "
        "pip install -c constraints.txt '.[torch]'\n"
    ), done.stderr
