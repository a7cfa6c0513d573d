"""The client of the Hugging Face hub: its address, its exceptions, and fetching one file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glpn.errors import MissingInput, UsageError

MODELS = Path(__file__).parents[1] / "models"  # the models in the package
HUB_OPTIONS = frozenset(
    {"cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token"}
)


def address(given: str | None = None) -> str | None:
    """The hub's address: the argument, or HF_ENDPOINT, or None for the client's default."""
    return given or os.environ.get("HF_ENDPOINT")


def use_available_cache() -> None:
    """Download to a temporary folder if the user has no home directory, as in some containers.

    Only this user can access the folder. HF_HOME, if set, is used instead.
    """
    if os.path.expanduser("~") != "~" or "HF_HOME" in os.environ:
        return
    folder = Path(tempfile.gettempdir(), f"glpn-huggingface-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        folder = Path(tempfile.mkdtemp(prefix="glpn-huggingface-"))
    os.environ["HF_HOME"] = str(folder)


def failures() -> tuple[type[Exception], ...]:
    """The exceptions that the client raises, including its HTTP library's."""
    from huggingface_hub.errors import HfHubHTTPError

    transport = tuple(base for base in HfHubHTTPError.__bases__ if issubclass(base, Exception))
    return (*transport, OSError, ValueError)


def reason(error: Exception) -> str:
    """The client's message about a failure, in one line."""
    return " ".join(str(error).split())


def bundled_folder(name: str) -> Path | None:
    """The folder of a bundled model, or None; a trailing slash does not matter."""
    name = name.rstrip("/")
    folder = MODELS / name
    is_name = bool(name) and Path(name).name == name
    return folder if is_name and (folder / "config.json").is_file() else None


def find_file(name: str, source: str | os.PathLike[str], options: Mapping[str, Any]) -> Path:
    """The path of one file of a model, downloaded if the model is on the hub.

    Args:
        name: the file's name.
        source: a folder, a bundled model's name, or a hub id; in a folder the file may be missing.
        options: any of HUB_OPTIONS.

    Raises:
        UsageError: another option.
        MissingInput: no such folder, name or hub id, or the hub cannot be reached.
    """
    unknown = sorted(options.keys() - HUB_OPTIONS)
    if unknown:
        known = ", ".join(sorted(HUB_OPTIONS))
        raise UsageError(f"unknown option {unknown[0]!r}; known are {known}")
    subfolder = options.get("subfolder") or ""
    for folder in (Path(source), bundled_folder(os.fspath(source))):
        if folder is not None and folder.is_dir():
            return folder / subfolder / name
    repo_id = os.fspath(source)
    if repo_id.count("/") != 1 or repo_id.startswith((".", "/")):
        raise MissingInput(f"{repo_id}: no such folder or bundled model, and not a hub id")
    use_available_cache()
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repo_id, name, endpoint=address(), **options))
    except failures() as e:
        raise MissingInput(
            f"{repo_id}: no such folder or bundled model here, and no {name} from the hub: "
            f"{reason(e)}"
        ) from None
