"""Hooks of mkdocs: pages that come from the code, and links that leave the folder of the docs.

Reference pages for the command line, HTTP and recipes are generated at every build, so they cannot
go stale. README, ARCHITECTURE and the like stay at the root of the repository and appear as pages.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import posixpath
import re
from pathlib import Path
from typing import Any

import click
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "README.md": "index.md",
    "src/glpn/models/glpn-b0-indoor/README.md": "project/glpn-b0-indoor.md",
    "src/glpn/models/glpn-b0-rooms/README.md": "project/glpn-b0-rooms.md",
}
_pages: list[Page] = []  # in the order of the build
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)(?: \"([^\"]*)\")?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the pages at the root of the repository."""
    _pages.clear()
    pages = {
        "reference/command-line.md": command_line(),
        "reference/http.md": http(),
        "reference/recipes.md": recipes(),
    }
    for source, target in ROOT_PAGES.items():
        if target not in {file.src_uri for file in files}:
            pages[target] = (ROOT / source).read_text("utf-8")
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at pages of the site; links to other files of the repository become paths."""
    known = {file.src_uri for file in files}
    source = next((s for s, t in ROOT_PAGES.items() if t == page.file.src_uri), None)
    folder = posixpath.dirname(source) if source else posixpath.dirname(f"docs/{page.file.src_uri}")

    def rewritten(match: re.Match[str]) -> str:
        mark, text, link, title = match.groups()
        path, _, anchor = link.partition("#")
        if not path or re.match(r"[a-z]+:", link):
            return match.group()
        target = posixpath.normpath(posixpath.join(folder, path))
        target = ROOT_PAGES.get(target, target.removeprefix("docs/"))
        if target in known:
            own = posixpath.dirname(page.file.src_uri) or "."
            relative = posixpath.relpath(target, own)
            return f"{mark}[{text}]({relative}{'#' + anchor if anchor else ''})"
        place = f"`{target}`" + (f": `{title}`" if title else "")
        return place if text in (target, "test") else f"{text} ({place})"

    _pages.append(page)
    return _LINK.sub(rewritten, markdown)


def on_post_build(config: MkDocsConfig) -> None:
    """Write llms.txt: the pages of the site with their first sentences, for language models."""
    lines = ["# glpn", "", f"> {config.site_description}", ""]
    for page in _pages:
        lines.append(f"- [{page.title}]({page.url}): {_first_sentence(page.markdown or '')}")
    (Path(config.site_dir) / "llms.txt").write_text("\n".join(lines) + "\n", "utf-8")


def _first_sentence(markdown: str) -> str:
    for block in markdown.split("\n\n"):
        text = " ".join(block.split())
        if text and not text.startswith(("#", "!", "`", "|", "<", "[", "-", "*")):
            return text.partition(". ")[0].rstrip(".") + "."
    return ""


# --- Generated pages -----------------------------------------------------------------------------


def command_line() -> str:
    """Every verb with its help and options."""
    from glpn.cli.app import VERBS

    parts = [
        "# Command line\n",
        "`glpn VERB --help` prints the same. Exit codes: 0 success, 2 usage, 65 bad data, 66 "
        "missing input, 73 output cannot be created, 74 read or write error, 130 and 143 stopped "
        "by a signal.\n",
    ]
    for name, verb in VERBS.items():
        module, _, function = verb.function.partition(".")
        target = getattr(importlib.import_module(f"glpn.cli.verbs.{module}"), function)
        if isinstance(target, typer.Typer):
            group = typer.main.get_group(target)
            parts += [_verb(f"{name} {sub}", command) for sub, command in group.commands.items()]
        else:
            parts.append(_verb(name, _command(target)))
    return "\n".join(parts)


def _command(function: Any) -> click.Command:
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return typer.main.get_command(app)


def _verb(name: str, command: click.Command) -> str:
    text, _, examples = (inspect.cleandoc(command.help or "")).partition("Examples:")
    lines = [f"## glpn {name}\n", text.replace("\b", "").strip(), ""]
    commands = [line.strip() for line in examples.splitlines() if line.strip()]
    if commands:
        lines += ["```text", *commands, "```", ""]
    lines += ["| argument or option | meaning |", "|---|---|"]
    for parameter in command.params:
        if parameter.name == "help" or getattr(parameter, "hidden", False):
            continue
        names = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        if isinstance(parameter, click.Argument):
            names = f"`{parameter.human_readable_name}`"
        meaning = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {names} | {meaning} |")
    return "\n".join(lines) + "\n"


def http() -> str:
    """The routes of the service, from its OpenAPI description."""
    from starlette.testclient import TestClient

    import glpn
    from glpn.serving.app import make_app
    from glpn.serving.limits import Limits

    client = TestClient(make_app(glpn.load(), Limits()), base_url="http://127.0.0.1")
    description = client.get("/openapi.json").json()
    parts = [
        "# HTTP\n",
        "The service describes itself at `/openapi.json` and, for people, at `/docs`. "
        "[Serve](../serving.md) shows how to run it.\n",
    ]
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            parts.append(f"## {method.upper()} {path}\n\n{route.get('summary', '')}.\n")
            if route.get("description"):
                parts.append(f"{route['description']}\n")
            if route.get("parameters"):
                parts.append("| parameter | in | meaning |\n|---|---|---|")
                parts += [
                    f"| `{p['name']}` | {p['in']} | {_cell(p.get('description', ''))} |"
                    for p in route["parameters"]
                ]
                parts.append("")
            parts.append("| status | meaning |\n|---|---|")
            parts += [
                f"| {status} | {_cell(response.get('description', ''))} |"
                for status, response in route.get("responses", {}).items()
            ]
            parts.append("")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def recipes() -> str:
    """Every setting of a recipe with its default, from the records that hold them."""
    from glpn.records import field_types
    from glpn.training.recipe import Recipe

    parts = [
        "# Recipes\n",
        "A recipe is a TOML file; `key=value` on the command line replaces settings. "
        "[Train](../training.md) lists the recipes that come with glpn.\n",
    ]
    for name, options in field_types(Recipe).items():
        parts.append(f"## [{name}]\n")
        doc = inspect.getdoc(options) or ""
        parts += [
            doc.partition("\n\n")[0] + "\n",
            "| setting | default | meaning |",
            "|---|---|---|",
        ]
        meanings = _attributes(doc)
        for field in dataclasses.fields(options):
            parts.append(
                f"| `{name}.{field.name}` | {_default(field)} | "
                f"{_cell(meanings.get(field.name, ''))} |"
            )
        parts.append("")
    return "\n".join(parts)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        return ""
    return f"`{json.dumps(field.default, default=str)}`"


def _attributes(doc: str) -> dict[str, str]:
    """The entries of a docstring's section "Attributes"."""
    section = doc.partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        entry = re.match(r"    ([\w, ]+): (.*)", line)
        if entry:
            names = [name.strip() for name in entry.group(1).split(",")]
            found |= dict.fromkeys(names, entry.group(2))
        elif line.startswith("        "):
            for name in names:
                found[name] += " " + line.strip()
        elif line and not line.startswith(" "):
            break
    return found
