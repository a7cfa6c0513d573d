"""Find a model in a folder, among the bundled ones or on the Hugging Face hub; upload one."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glpn.errors import CheckpointError, MissingInput, OutputFailed, UsageError
from glpn.network.config import CONFIG_NAME
from glpn.weights import hub_client
from glpn.weights.integrity import is_checked
from glpn.weights.store import (
    CHECKSUMS_NAME,
    ERRORS_NAME,
    GRAPH_NAME,
    INDEX_NAME,
    PICKLE_NAME,
    PRECISION_NAME,
    PROCESSOR_NAME,
    TRUNK_NAME,
    WEIGHTS_NAME,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
# Only these are downloaded. A pickle is not among them.
_WANTED = [
    CONFIG_NAME,
    WEIGHTS_NAME,
    INDEX_NAME,
    "model*.safetensors",  # shards and variants, such as model.fp16.safetensors
    "model.safetensors.index.*.json",
    PROCESSOR_NAME,
    GRAPH_NAME,
    TRUNK_NAME,
    ERRORS_NAME,
    PRECISION_NAME,
    CHECKSUMS_NAME,
    "*.md",
]
_SHOWN = 3  # maximum number of model folders in an error message
HUB_OPTIONS = hub_client.HUB_OPTIONS
PUSH_OPTIONS = frozenset({"commit_message", "endpoint", "private", "revision", "token"})


def bundled() -> dict[str, Path]:
    """Return the folders of the models that come with the package, by name."""
    return {
        file.parent.name: file.parent for file in sorted(hub_client.MODELS.glob(f"*/{CONFIG_NAME}"))
    }


def resolve(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    subfolder: str = "",
    token: str | bool | None = None,
) -> Path:
    """The folder that contains a model, downloaded from the hub if necessary.

    Args:
        source: an existing folder, a bundled model's name, or a hub id "user/name".
        revision: branch, tag or commit on the hub.
        cache_dir: folder for downloads; the hub library's default if None.
        force_download: repeat earlier downloads.
        local_files_only: use earlier downloads, never the network.
        subfolder: folder of the model's files within the source.
        token: access token for private repositories; None uses the stored login, False none.

    Raises:
        MissingInput: there is no such folder, name or hub id, or the hub cannot be reached.
        CheckpointError: the repository contains only a pickle.
    """
    folder = Path(source)
    if not str(source) or not folder.is_dir():
        folder = hub_client.bundled_folder(str(source)) or _download(
            source,
            subfolder=subfolder,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
    if subfolder and not (folder / subfolder).is_dir():
        raise MissingInput(f"{source}: no folder {subfolder!r} in it")
    folder = folder / subfolder
    _require_no_run(folder)
    return folder


def _require_no_run(folder: Path) -> None:
    """Refuse a folder that contains model folders instead of a model, as that of a training run."""
    if not any((folder / name).is_file() for name in (CONFIG_NAME, WEIGHTS_NAME, PROCESSOR_NAME)):
        models = sorted(file.parent for file in folder.glob(f"*/{CONFIG_NAME}"))
        if models:
            named = ", ".join(str(model) for model in models[:_SHOWN])
            raise MissingInput(f"{folder}: no {CONFIG_NAME} in this folder; did you mean {named}?")


def _choices() -> str:
    names = ", ".join(bundled()) or "none"
    return f"give a model's folder, a bundled name ({names}) or a hub id such as user/name"


def _download(repo_id: str | Path, *, revision: str | None, subfolder: str, **options: Any) -> Path:
    hub_client.use_available_cache()
    from huggingface_hub import snapshot_download

    if not isinstance(repo_id, str) or not _HUB_ID.fullmatch(repo_id):
        from glpn.records import nearest_word

        near = nearest_word(str(repo_id), bundled())
        hint = f"did you mean {near!r}? Otherwise " if near else ""
        raise MissingInput(f"{repo_id}: no such folder; {hint}{_choices()}")
    inside = f"{subfolder.strip('/')}/" if subfolder else ""
    try:
        folder = Path(
            snapshot_download(
                repo_id,
                revision=revision,
                allow_patterns=[inside + pattern for pattern in _WANTED],
                endpoint=hub_client.address(),
                **options,
            )
        )
    except hub_client.failures() as e:
        at = f" at revision {revision!r}" if revision else ""
        raise MissingInput(f"{repo_id}{at}: {_reason(e)}; {_choices()}") from None
    found = {file.name for file in (folder / inside).glob("*")}
    if CONFIG_NAME not in found:
        raise MissingInput(f"{repo_id}: this repository has no {inside}{CONFIG_NAME}; {_choices()}")
    if GRAPH_NAME not in found and not any(name.endswith(".safetensors") for name in found):
        raise CheckpointError(
            f"{repo_id}: this repository has no {WEIGHTS_NAME}; a {PICKLE_NAME} is never loaded "
            f"directly: `hf download {repo_id} --local-dir FOLDER`, then "
            "`glpn convert FOLDER NEW_FOLDER`"
        )
    return folder


def _reason(error: Exception) -> str:
    """The failure and its remedy, in one line."""
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if isinstance(error, GatedRepoError):
        return "access is restricted: ask for it on the hub, then log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "no such folder here and no such repository on the hub, or it needs a token"
    if isinstance(error, RevisionNotFoundError):
        return "the repository has no such revision"
    if isinstance(error, LocalEntryNotFoundError):
        return "no such folder here, not downloaded before, and the hub is off or out of reach"
    return hub_client.reason(error)


def push(
    save: Callable[[Path], object],
    repo_id: str,
    *,
    token: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str | None = None,
    endpoint: str | None = None,
) -> str:
    """Upload the files that `save` writes; create the repository if it does not exist.

    Weights replace those of the repository, with the graphs and measurements that belong to them:
    the commit deletes what the new checksums do not list.

    Args:
        save: writes the files into a folder.
        repo_id: "user/name", or a name in the account of the token.
        token, private, revision, commit_message, endpoint: as in the hub's library.

    Returns:
        The commit's address.

    Raises:
        UsageError: `repo_id` is no hub id.
        OutputFailed: the hub rejected the files, or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    if not _HUB_ID.fullmatch(repo_id) and not _NAME.fullmatch(repo_id):
        raise UsageError(f"repo_id: expected user/name or a name, got {repo_id!r}")
    api = HfApi(endpoint=hub_client.address(endpoint), token=token)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        files = sorted(Path(folder).iterdir())
        try:
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            stale = _stale(api, repo_id, revision, {file.name for file in files})
            commit = api.create_commit(  # one commit, so the model is never half updated
                repo_id,
                [
                    *(CommitOperationAdd(file.name, file) for file in files),
                    *(CommitOperationDelete(name) for name in stale),
                ],
                commit_message=commit_message or "Upload a GLPN model",
                revision=revision,
            )
        except hub_client.failures() as e:
            raise OutputFailed(f"{repo_id}: upload failed: {hub_client.reason(e)}") from None
    return str(commit.commit_url)


def _stale(api: HfApi, repo_id: str, revision: str | None, uploaded: set[str]) -> list[str]:
    """The repository's files that new checksums do not list, and that would make loading fail."""
    if CHECKSUMS_NAME not in uploaded:
        return []
    there = set(api.list_repo_files(repo_id, revision=revision)) - uploaded
    wanted = [name for name in there if any(fnmatch(name, pattern) for pattern in _WANTED)]
    return sorted(name for name in wanted if "/" not in name and is_checked(name))
