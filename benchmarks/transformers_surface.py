"""Apply the common tests of transformers to glpn's classes, beside transformers' own.

    python benchmarks/transformers_surface.py [--source DISTRIBUTION.tar.gz] [--keep FOLDER]

The script downloads the source distribution of the installed transformers from the package index,
because the wheel has no tests. The distribution holds the common test mixins, but neither the GLPN
test file nor a few support modules. `surface/test_glpn.py` replaces the former, written anew; the
support modules below are empty or minimal and know nothing of glpn.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
TESTS = "tests/models/glpn/test_modeling_glpn.py"
PASSED, FAILED, SKIPPED = "pass", "fail", "skip"
WANTED_SHARE = 0.95  # of what passes with transformers' classes

# Modules that the common tests import and the distribution lacks.
SUPPORT = {
    "tests/__init__.py": "",
    "tests/models/__init__.py": "",
    "tests/models/glpn/__init__.py": "",
    "tests/exporters/__init__.py": "",
    "tests/exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "tests/generation/__init__.py": "",
    "tests/generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "tests/utils/__init__.py": "",
    "tests/utils/test_configuration_utils.py": (
        "config_common_kwargs = {'return_dict': False, 'output_hidden_states': True,\n"
        "    'output_attentions': True, 'dtype': 'float16', 'chunk_size_feed_forward': 5,\n"
        "    'architectures': ['GLPNModel'], 'id2label': {0: 'label'},\n"
        "    'label2id': {'label': 0}, 'problem_type': 'regression'}\n"
    ),
    "tests/utils/tiny_model_summary.json": "{}",
    "utils/fetch_hub_objects_for_ci.py": "def url_to_local_path(url):\n    return url\n",
}


def download(folder: Path) -> Path:
    """The source distribution of the installed transformers; its metadata alone is built."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation"]
    command += ["--no-binary", "transformers", "--dest", str(folder), "--quiet"]
    subprocess.run([*command, f"transformers=={version('transformers')}"], check=True)
    return next(folder.glob("transformers-*.tar.gz"))


def assemble(distribution: Path, folder: Path) -> Path:
    """Unpack the tests, add the support modules and our test file; returns the tree's root."""
    with tarfile.open(distribution) as archive:
        archive.extractall(folder, filter="data")
    root = next(folder.glob("transformers-*/"))
    for name, text in SUPPORT.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    text = (HERE / "surface" / "test_glpn.py").read_text()
    (root / TESTS).write_text(text)
    return root


def run(root: Path, classes: str, names: list[str]) -> dict[str, str]:
    """Run tests with one pair of classes, all if no names are given; test → pass, fail or skip."""
    report = root / f"{classes}.xml"
    environment = {**os.environ, "GLPN_CLASSES": classes, "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest"]
    command += ["-c", os.devnull, "--rootdir", str(root), "--tb=short", f"--junitxml={report}"]
    command += [f"{TESTS}::{name.replace('.', '::')}" for name in names] or [TESTS]
    with (root / f"{classes}.log").open("w") as log:
        subprocess.run(command, cwd=root, env=environment, stdout=log, stderr=log, check=False)
    return outcomes(report)


def outcomes(report: Path) -> dict[str, str]:
    """The outcome of every test in a JUnit report."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = FAILED if kinds & {"failure", "error"} else PASSED
        outcome = SKIPPED if "skipped" in kinds else outcome
        found[f"{case.get('classname', '').rsplit('.', 1)[-1]}.{case.get('name')}"] = outcome
    return found


def passing(found: dict[str, str]) -> list[str]:
    """The names of the tests that pass."""
    return [name for name, outcome in found.items() if outcome == PASSED]


def table(theirs: dict[str, str], ours: dict[str, str]) -> str:
    """Counts by class of tests, then the tests that pass with transformers' classes alone."""
    lines = ["| tests | transformers: pass / fail / skip | of the passing ones, with glpn |"]
    lines.append("|---|---|---|")
    for group in (*sorted({name.split(".")[0] for name in theirs}), "all"):
        names = [name for name in theirs if group in ("all", name.split(".")[0])]
        counts = Counter(theirs[name] for name in names)
        both = sum(ours.get(name) == PASSED for name in names)
        cells = " / ".join(str(counts[outcome]) for outcome in (PASSED, FAILED, SKIPPED))
        lines.append(f"| {group} | {cells} | {both} of {counts[PASSED]} |")
    lost = [name for name in passing(theirs) if ours.get(name) != PASSED]
    lines += ["", f"{share(theirs, ours):.1%} of what passes there passes here. Not here:"]
    lines += [f"- {ours.get(name, 'absent')}: {name}" for name in lost]
    return "\n".join(lines)


def share(theirs: dict[str, str], ours: dict[str, str]) -> float:
    """Of the tests that pass with transformers' classes, the share that passes with glpn's."""
    kept = [name for name in passing(theirs) if ours.get(name) == PASSED]
    return len(kept) / max(len(passing(theirs)), 1)


def main() -> None:
    """Print the table; exit 1 below the wanted share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="a source distribution already downloaded")
    parser.add_argument("--keep", type=Path, help="folder for the test tree and its logs")
    parser.add_argument("--again", action="store_true", help="take transformers' part from --keep")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        root = assemble(options.source or download(folder), folder)
        known = root / "transformers.xml"
        theirs = outcomes(known) if options.again else run(root, "transformers", [])
        ours = run(root, "glpn", passing(theirs))
    print(table(theirs, ours))
    raise SystemExit(0 if share(theirs, ours) >= WANTED_SHARE else 1)


if __name__ == "__main__":
    main()
