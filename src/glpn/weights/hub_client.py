"""The Hugging Face hub's client: its address, what it raises, and one file fetched by it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glpn.errors import MissingInput, UsageError

MODELS = Path(__file__).parents[1] / "models"  # those that come with the package
_OPTIONS = ("revision", "cache_dir", "local_files_only", "token")


def address(given: str | None = None) -> str | None:
    """The hub's address: the one given, or HF_ENDPOINT as it is now, or (None) the client's own."""
    return given or os.environ.get("HF_ENDPOINT")


def failures() -> tuple[type[Exception], ...]:
    """What the client raises, its HTTP library's errors (which changed over time) included."""
    from huggingface_hub.errors import HfHubHTTPError

    transport = tuple(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception))
    return (*transport, OSError, ValueError)


def told(error: Exception) -> str:
    """What the client says of a failure, in one line."""
    return " ".join(str(error).split())


def find_file(name: str, source: str | os.PathLike[str], options: Mapping[str, Any]) -> Path:
    """Where one file of a model is, downloaded if the model is on the hub.

    Args:
        name: of the file.
        source: a folder, a bundled model's name, or a hub id; in a folder the file may be missing.
        options: revision, cache_dir, local_files_only, token of the hub.

    Raises:
        UsageError: another option.
        MissingInput: no such folder, name or hub id, or the hub cannot be reached.
    """
    unknown = [option for option in options if option not in _OPTIONS]
    if unknown:
        raise UsageError(f"unknown option {unknown[0]!r}; known are {', '.join(_OPTIONS)}")
    for folder in (Path(source), MODELS / source):
        if folder.is_dir():
            return folder / name
    repo_id = os.fspath(source)
    if repo_id.count("/") != 1 or repo_id.startswith((".", "/")):
        raise MissingInput(f"{repo_id}: no such folder or bundled model, and not a hub id")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo_id, name, endpoint=address(), **options))
    except failures() as e:
        raise MissingInput(
            f"{repo_id}: no such folder or bundled model here, and no {name} from the hub: "
            f"{told(e)}"
        ) from None
