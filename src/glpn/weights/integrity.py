"""The integrity of a model's folder: `checksums.json` contains the SHA-256 of every relevant file.

Signing a folder means writing the checksums of its files; code that writes such a file also signs
it. Reading weights compares the folder with its checksums, so a changed byte cannot silently change
the metres. A checksum is not secret: it reveals damage and forgotten edits, but not an attacker who
rewrites the checksums too. For the bundled models, the hash of `checksums.json` is therefore fixed
in `PINS`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path

from glpn.errors import (
    CheckpointError,
    ConfigError,
    EditedFileWarning,
    GLPNError,
    MissingInput,
    UsageError,
)
from glpn.files import write_file
from glpn.files.paths import remove_stale_parts
from glpn.network.config import CONFIG_NAME
from glpn.records import read_json
from glpn.weights import hub_client
from glpn.weights.store import (
    CHECKSUMS_NAME,
    ERRORS_NAME,
    GRAPH_NAME,
    PRECISION_NAME,
    PROCESSOR_NAME,
    TRUNK_NAME,
    WEIGHTS_NAME,
    file_hash,
)

# Users may edit these files, so a mismatch only warns; a mismatch in any other file is an error.
EDITABLE = (CONFIG_NAME, PROCESSOR_NAME)
_SIGNED = (GRAPH_NAME, TRUNK_NAME, PRECISION_NAME, ERRORS_NAME, *EDITABLE)
# Matches a single file, or shards with their index, including variants (model.fp16.safetensors).
_WEIGHTS = "*.safetensors*"

_FORMAT = "glpn-checksums-1"
_ASIDE_NAME = ".checksums.json"  # the checksums of a folder that is being written

# Bundled model → SHA-256 of its checksums.json. `scripts/pin_models.py` rewrites them.
PINS: dict[str, str] = {
    "glpn-b0-indoor": "6e10cd33b261ff742e0cf24ef6d20d6601b00022d2dfbd300b2d7cc89800a49e",
    "glpn-b0-rooms": "751557039918dd6d4ae44b9276f66460534f839a17af4f500db8d4f44f500eb0",
}

_log = logging.getLogger("glpn")


def sign(folder: str | Path) -> Path:
    """Write `checksums.json` for all files of a model's folder as they are now.

    Returns:
        The path of `checksums.json`.

    Raises:
        MissingInput: the folder contains no weights.
        CannotCreateOutput, OutputFailed: the folder cannot be written.
    """
    folder = Path(folder)
    names = _signable(folder)
    if not any(name.endswith(".safetensors") for name in names):
        raise MissingInput(f"{folder}: no {WEIGHTS_NAME} in this folder")
    return _write(folder, {name: file_hash(folder / name) for name in names})


@contextmanager
def signing(folder: str | Path, *names: str) -> Iterator[None]:
    """Sign the files written in the `with` block; the checksums of other files stay as they are.

    During the block, `checksums.json` is renamed to `.checksums.json`. If the process is killed,
    the folder can still be opened, with a warning, and the next call of `signing` reuses the
    renamed file. If the folder has no checksums, all its files are signed when the weights are
    written; if only other files are written, none are. If another process signs files of the folder
    during the block, its checksums stay.

    Args:
        folder: the folder of the model; it need not exist yet.
        names: names of files in the folder that the block writes or deletes; `model.safetensors`
            means all weight files that the block replaces.

    Raises:
        UsageError: the folder belongs to the installed package.
        CannotCreateOutput, OutputFailed: the folder cannot be written.
    """
    folder = Path(folder)
    require_changeable(folder)
    remove_stale_parts(folder)
    before = _weight_states(folder)
    known = _set_aside(folder)
    try:
        yield
    except BaseException:
        if known is not None:
            with suppress(GLPNError):
                _write(folder, _rewritten(folder) or known)
        raise
    written = set(names) - {WEIGHTS_NAME}
    if WEIGHTS_NAME in names:
        states = _weight_states(folder)
        written |= {name for name, state in states.items() if before.get(name) != state}
    current = _rewritten(folder) or known
    if current is not None:
        _write(folder, _updated(folder, current, written))
    elif WEIGHTS_NAME in names:
        sign(folder)


def _updated(folder: Path, known: dict[str, str], written: set[str]) -> dict[str, str]:
    """The checksums of a folder: new ones of the files written, known ones of the others."""
    digests = {}
    for name in _signable(folder):
        if name in written:
            digests[name] = file_hash(folder / name)
        elif name in known:
            digests[name] = known[name]
    return digests


def _weight_states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of each weight file; one of them changes when the file is written."""
    states = {}
    for file in folder.glob(_WEIGHTS):
        with suppress(FileNotFoundError):  # another process removed it
            status = file.stat()
            states[file.name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return states


def _rewritten(folder: Path) -> dict[str, str] | None:
    """The checksums that another process wrote during the block; None without any."""
    with suppress(CheckpointError):  # damaged; the caller replaces it
        return _read(folder)
    return None


def _set_aside(folder: Path) -> dict[str, str] | None:
    """Rename `checksums.json` to `.checksums.json` and return its contents.

    If a killed process has already renamed it, return the contents of that file.
    """
    with suppress(OSError):  # if renaming fails, writing fails too, with a better message
        os.replace(folder / CHECKSUMS_NAME, folder / _ASIDE_NAME)
    try:
        return _read(folder, _ASIDE_NAME)
    except CheckpointError:  # damaged; it is replaced after the block
        return None


def require_changeable(folder: Path) -> None:
    """Refuse to write into a bundled model.

    Raises:
        UsageError: the folder belongs to the installed package.
    """
    if _bundled_name(folder):
        raise UsageError(
            f"{folder}: part of the installed package and read-only; copy the folder and use the "
            "copy"
        )


def require_intact(folder: Path) -> None:
    """Compare a model's folder with its checksums.

    The hash of the weights is also used in the provenance of every prediction; it is computed once.

    Raises:
        CheckpointError: a file does not match its checksum, or has none and is not one of
            `EDITABLE`; or `checksums.json` is damaged, or that of a bundled model does not match
            `PINS`.

    Warns:
        EditedFileWarning: the configuration or the preprocessor does not match its checksum, or an
            earlier write was interrupted.
    """
    known = _read(folder)
    if known is None:
        if _bundled_name(folder):
            raise CheckpointError(f"{folder / CHECKSUMS_NAME}: missing; reinstall glpn")
        if (folder / _ASIDE_NAME).exists():
            message = f"{folder}: an earlier write was interrupted; {_remedy(folder)}"
            warnings.warn(message, EditedFileWarning, stacklevel=2)
        _log.info("%s: no %s: the files are not checked", folder, CHECKSUMS_NAME)
        return
    _require_pinned(folder)
    for name in _signable(folder):
        if known.get(name) == file_hash(folder / name):
            continue
        if name in EDITABLE and name not in known:
            continue  # written by a program that does not sign, such as an upload of one file
        problem = "does not match its checksum in" if name in known else "not listed in"
        message = (
            f"{folder / name}: {problem} {CHECKSUMS_NAME}; if you changed it on purpose, run "
            f"`glpn sign {folder}`"
        )
        if name not in EDITABLE:
            raise CheckpointError(f"{message}; otherwise it is damaged")
        warnings.warn(message, EditedFileWarning, stacklevel=2)


def is_checked(name: str) -> bool:
    """Whether a file of this name is refused if the checksums of its folder do not list it."""
    return name not in EDITABLE and (name in _SIGNED or fnmatch(name, _WEIGHTS))


def _signable(folder: Path) -> list[str]:
    """The names of the files in a folder that checksums cover."""
    names = [*_SIGNED, *(file.name for file in sorted(folder.glob(_WEIGHTS)))]
    return [name for name in names if (folder / name).is_file()]


def _read(folder: Path, name: str = CHECKSUMS_NAME) -> dict[str, str] | None:
    """Return the SHA-256 of each file by name; None if there is no checksum file."""
    file = folder / name
    try:
        values = read_json(file)
    except MissingInput:
        return None
    except ConfigError as e:
        raise CheckpointError(f"{e}; {_remedy(folder)}") from None
    files = values.get("files") if isinstance(values, dict) else None
    if not isinstance(files, dict) or values.get("format") != _FORMAT:
        raise CheckpointError(f"{file}: not a list of checksums; {_remedy(folder)}")
    if not all(isinstance(digest, str) for digest in files.values()):
        raise CheckpointError(f"{file}: a checksum is not text; {_remedy(folder)}")
    return files


def _remedy(folder: Path) -> str:
    return f"if the files in it are correct, run `glpn sign {folder}`"


def _write(folder: Path, digests: dict[str, str]) -> Path:
    file = folder / CHECKSUMS_NAME
    values = {"format": _FORMAT, "files": dict(sorted(digests.items()))}
    write_file(file, (json.dumps(values, indent=2) + "\n").encode())
    (folder / _ASIDE_NAME).unlink(missing_ok=True)
    return file


def _bundled_name(folder: Path) -> str | None:
    """The name of the bundled model in a folder, however its path is written; else None."""
    place = folder.resolve()
    return next((name for name in PINS if (hub_client.MODELS / name).resolve() == place), None)


def _require_pinned(folder: Path) -> None:
    name = _bundled_name(folder)
    if name is None:
        return
    file = folder / CHECKSUMS_NAME
    if hashlib.sha256(file.read_bytes()).hexdigest() != PINS[name]:
        raise CheckpointError(f"{file}: differs from the one shipped with glpn; reinstall glpn")
