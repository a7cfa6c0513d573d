"""What glpn brings along: locked hashes, named licences, and no connection on the way to metres."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
LINE = re.compile(r"([a-z0-9._-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")
PY311 = {"python_version": "3.11", "python_full_version": "3.11.9", "extra": ""}

# Fails the prediction at any event of Python's audit log that leaves the process.
OFFLINE = """
import os, sys
def hook(event, details):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
        sys.stderr.write(f"{event} {details}")
        os._exit(3)
sys.addaudithook(hook)
import glpn
print(glpn.load(engine="onnxruntime")("examples/lobby.jpg").metres.mean())
try:  # what native libraries opened
    links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")[:-1]]
except OSError:
    links = []
sys.exit(4 if any(link.startswith("socket:") for link in links) else 0)
"""


def locked(name: str) -> dict[str, str]:
    lines = (ROOT / f"packaging/{name}.lock").read_text().splitlines()
    matches = [LINE.fullmatch(line) for line in lines if not line.startswith("#")]
    assert matches and all(matches), "every line has one version and one SHA-256"
    return {canonicalize_name(match[1]): match[2] for match in matches}


def constrained() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    needed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in needed
        if one.marker is None or one.marker.evaluate(PY311)
    }


@pytest.mark.parametrize("python", ["3.10.0", "3.11.0", "3.12.0", "3.13.0"])
def test_every_installed_pin_supports_every_python_that_it_is_for(python: str) -> None:
    """Debian 12 has Python 3.11.2; a pin for 3.11.5 would leave it without the test command."""
    here = {"python_version": python.rpartition(".")[0], "python_full_version": python, "extra": ""}
    checked = 0
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pin = Requirement(line)
        try:
            package = metadata.metadata(pin.name)
        except metadata.PackageNotFoundError:
            continue
        wanted = pin.marker is None or pin.marker.evaluate(here)
        if wanted and pin.specifier.contains(package["Version"], prereleases=True):
            supported = SpecifierSet(package["Requires-Python"] or "")
            assert supported.contains(python), f"{line}: needs Python {supported}"
            checked += 1
    assert checked > 50


@pytest.mark.skipif(sys.version_info < (3, 11), reason="reads TOML")
def test_the_lock_of_the_service_holds_all_that_it_declares_and_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = map(Requirement, [*project["dependencies"], *extras["serve"], *extras["3d"]])
    found = locked("serve")
    for needed in declared:
        if needed.marker and not needed.marker.evaluate(PY311):
            continue
        assert needed.specifier.contains(found[canonicalize_name(needed.name)]), needed
    assert not {"torch", "onnx"} & set(found)


@pytest.mark.parametrize("name", ["serve", "build"])
def test_locked_versions_are_the_tested_ones(name: str) -> None:
    tested = constrained()
    found = locked(name)
    assert found == {package: tested.get(package) for package in found}


def test_the_image_installs_nothing_without_a_hash() -> None:
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip (?:--python \S+ )?install[^&\n]*", text)
    assert len(installs) == 3
    assert all("--require-hashes" in one or "--no-index" in one for one in installs)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the page lists what 3.11 installs")
def test_every_core_dependency_has_its_licence_in_the_docs() -> None:
    check = [sys.executable, "scripts/licences.py", "--check"]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_import_and_prediction_open_no_socket_and_resolve_no_name() -> None:
    child = [sys.executable, "-c", OFFLINE]
    done = subprocess.run(child, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0.3 < float(done.stdout) < 10


def test_the_audit_hook_sees_a_lookup() -> None:
    lookup = OFFLINE.replace("import glpn\n", "import socket; socket.getaddrinfo('localhost', 1)\n")
    done = subprocess.run([sys.executable, "-c", lookup], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 3
    assert "socket.getaddrinfo" in done.stderr
