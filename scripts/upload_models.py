"""Stage a bundled model for the Hugging Face hub, and upload it if a repository is named.

    python scripts/upload_models.py glpn-b0-rooms staged                  # only the folder
    python scripts/upload_models.py glpn-b0-rooms staged --repo OWNER/glpn-b0-rooms

The staged folder has the model's files, its card with the hub's metadata, its terms as LICENSE.md,
and `onnx/model.onnx`, one portable file where transformers.js looks for it. A login comes from
`hf auth login` or HF_TOKEN. Nothing is uploaded without --repo.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import glpn
from glpn.weights import hub
from glpn.weights.card import read_card, section, stated_terms

LEAVE = ("README.md",)  # it is rewritten
TAGS = ("glpn", "depth", "monocular-depth-estimation", "metric-depth", "onnx", "transformers.js")


class Hub(Protocol):
    """The two methods of `huggingface_hub.HfApi` that an upload needs."""

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> object:
        """Create a model repository; keep one that exists."""

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> object:
        """Commit all files of a folder."""


def main() -> None:
    """Stage, then upload if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=sorted(hub.bundled()))
    parser.add_argument("out", type=Path, help="a new folder")
    parser.add_argument("--repo", help="OWNER/NAME on the hub")
    parser.add_argument("--public", action="store_true", help="create the repository as public")
    args = parser.parse_args()
    stage(args.model, args.out)
    print(f"staged {args.out}")
    if args.repo:
        from huggingface_hub import HfApi

        upload(HfApi(), args.out, args.repo, private=not args.public)


def stage(name: str, out: Path) -> None:
    """Write the folder that the hub shall hold; `out` must not exist."""
    source = hub.bundled()[name]
    shutil.copytree(source, out, ignore=shutil.ignore_patterns(*LEAVE))
    card = read_card(source)
    (out / "LICENSE.md").write_text(f"# Terms of {name}\n\n{section(card, 'Terms')}\n", "utf-8")
    (out / "README.md").write_text(hub_card(name, card), "utf-8")
    (out / "onnx").mkdir()
    export = [sys.executable, "-m", "glpn", "export", "onnx", str(source), "--portable"]
    subprocess.run([*export, str(out / "onnx/model.onnx")], check=True)  # noqa: S603


def hub_card(name: str, card: str) -> str:
    """The card with the hub's metadata instead of its own front matter."""
    terms = stated_terms(card)
    if terms.startswith("Apache-2.0"):
        licence = ["license: apache-2.0"]
    else:
        slug = re.sub(r"[^a-z0-9]+", "-", terms.partition("(")[0].lower()).strip("-")
        licence = ["license: other", f"license_name: {slug}", "license_link: LICENSE.md"]
    front = [*licence, "library_name: glpn", "pipeline_tag: depth-estimation", "tags:"]
    front += [f"- {tag}" for tag in TAGS]
    body = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)
    note = f"Written by glpn {glpn.__version__}: `glpn.load(...)` opens {name} by its hub id."
    return "\n".join(["---", *front, "---"]) + f"\n{body}\n{note}\n"


def upload(api: Hub, folder: Path, repo: str, *, private: bool) -> None:
    """Create the repository if necessary and commit the folder to it."""
    api.create_repo(repo, private=private, exist_ok=True)
    message = f"glpn {glpn.__version__}"
    api.upload_folder(repo_id=repo, folder_path=str(folder), commit_message=message)


if __name__ == "__main__":
    main()
