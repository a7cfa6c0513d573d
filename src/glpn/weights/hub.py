"""Where a model comes from, and where it goes: a folder, a bundled name, the Hugging Face hub."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glpn.config import CONFIG_NAME
from glpn.errors import MissingInput, OutputFailed, UsageError
from glpn.weights.store import GRAPH_NAME, INDEX_NAME, PROCESSOR_NAME, WEIGHTS_NAME

_MODELS = Path(__file__).parent.parent / "models"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Never a pickle: what is not listed is not downloaded.
_WANTED = [
    CONFIG_NAME,
    WEIGHTS_NAME,
    INDEX_NAME,
    "model-*-of-*.safetensors",
    PROCESSOR_NAME,
    GRAPH_NAME,
    "*.md",
]


def bundled() -> dict[str, Path]:
    """The models that come with the package: name → folder."""
    return {file.parent.name: file.parent for file in sorted(_MODELS.glob(f"*/{CONFIG_NAME}"))}


def resolve(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | None = None,
) -> Path:
    """The folder that holds a model, downloaded if it is on the hub and not here yet.

    Args:
        source: an existing folder, a bundled model's name, or a hub id "user/name".
        revision: branch, tag or commit on the hub.
        cache_dir: where downloads are kept; the hub library's own place if None.
        local_files_only: use what was downloaded before, never the network.
        token: for private repositories; the stored login if None.

    Raises:
        MissingInput: there is no such folder, name or hub id, or the hub cannot be reached.
        CheckpointError: the repository holds a pickle alone.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if str(source) in bundled():
        return bundled()[str(source)]
    if not isinstance(source, str) or not _HUB_ID.fullmatch(source):
        raise MissingInput(f"{source}: no such folder; {_choices()}")
    options = {"revision": revision, "local_files_only": local_files_only, "token": token}
    return _download(source, cache_dir=cache_dir, **options)


def _choices() -> str:
    names = ", ".join(bundled()) or "none"
    return f"give a model's folder, a bundled name ({names}) or a hub id such as user/name"


def _download(repo_id: str, **options: Any) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        folder = Path(
            snapshot_download(repo_id, allow_patterns=_WANTED, endpoint=_endpoint(None), **options)
        )
    except (OSError, HFValidationError) as e:
        raise MissingInput(f"{repo_id}: {e}; {_choices()}") from None
    return folder


def _endpoint(endpoint: str | None) -> str | None:
    """The hub's address: the argument, or HF_ENDPOINT as it is now, or the library's own."""
    return endpoint or os.environ.get("HF_ENDPOINT")


def push(
    save: Callable[[Path], None],
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Upload what `save` writes into a folder; the repository is made if it does not exist.

    Returns:
        The commit's address.

    Raises:
        UsageError: `repo_id` is no hub id.
        OutputFailed: the hub refused, or cannot be reached.
    """
    from huggingface_hub import HfApi

    if not _HUB_ID.fullmatch(repo_id):
        raise UsageError(f"repo_id: expected user/name, got {repo_id!r}")
    api = HfApi(endpoint=_endpoint(endpoint), token=token)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                revision=revision,
                commit_message=commit_message or "Upload a GLPN model",
            )
        except OSError as e:
            raise OutputFailed(f"{repo_id}: upload failed: {e}") from None
    return str(commit.commit_url)
