"""The documentation site builds without a warning; its links and generated pages are whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
# Verbs that the core install lacks, and the extras that bring each.
EXTRAS = {
    "train": ("train",),
    "evaluate": ("train",),
    "convert": ("torch", "train"),
    "export": ("torch",),
    "video": ("video",),
    "serve": ("serve",),
    "batch": ("cluster",),
    "mcp": ("mcp",),
}


class Links(HTMLParser):
    """The addresses and the anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        values = dict(attrs)
        self.anchors.update(filter(None, (values.get("id"), values.get("name"))))
        link = values.get("href") if tag in ("a", "link") else values.get("src")
        if link:
            self.links.append(link)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_a_page_says_what_its_commands_need(page: Path) -> None:
    text = page.read_text("utf-8")
    blocks = "\n".join(re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S))
    verbs = EXTRAS.keys() & set(re.findall(r"^glpn (\w+)", blocks, re.M))
    missing = [v for v in verbs if not any(f"'.[{extra}" in text for extra in EXTRAS[v])]
    assert missing == []


def test_no_link_is_broken_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path: Links(path.read_text("utf-8")) for path in site.rglob("*.html")}
    assert len(pages) > 20
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchored = parts.fragment and target.suffix == ".html" and target in pages
            if not target.exists() or (
                anchored and unquote(parts.fragment) not in pages[target].anchors
            ):
                broken.append((path.name, link))
    assert not broken


def test_the_reference_names_every_verb_and_every_public_name(site: Path) -> None:
    import glpn
    from glpn.cli.app import VERBS

    verbs = (site / "reference/command-line.html").read_text("utf-8")
    assert [verb for verb in VERBS if f"glpn {verb}" not in verbs] == []
    python = (site / "reference/python.html").read_text("utf-8")
    own = [name for name in glpn.__all__ if not name.startswith("_")]
    missing = [name for name in own if not re.search(rf"\b{name}\b", python)]
    assert missing == []
    assert "/v1/depth" in (site / "reference/http.html").read_text("utf-8")
    assert "augment.cutdepth" in (site / "reference/recipes.html").read_text("utf-8")


def test_llms_txt_lists_the_pages(site: Path) -> None:
    lines = (site / "llms.txt").read_text("utf-8").splitlines()
    entries = [line for line in lines if line.startswith("- [")]
    assert len(entries) > 20
    assert any("training.html" in line for line in entries)


def test_search_works_without_a_server(site: Path) -> None:
    assert (site / "search/search_index.js").exists()
