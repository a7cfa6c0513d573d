"""Every error that glpn raises on purpose, each with its exit code and its HTTP status."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar


class GLPNError(Exception):
    """Base of all glpn errors; the message says what, got, wanted and where."""

    exit_code: ClassVar[int] = 65
    http_status: ClassVar[int] = 422


class UsageError(GLPNError, ValueError):
    """The call itself is wrong: an unknown option value, arguments that exclude each other."""

    exit_code = 2
    http_status = 400


class MissingDependency(GLPNError, ImportError):
    """An optional package is not installed.

    Args:
        message: what needs which package.
        extra: the extra of glpn that contains it; the message then ends with the command that
            installs it from a clone of the repository.
    """

    exit_code = 2
    http_status = 400

    def __init__(self, message: str, *, extra: str = "") -> None:
        command = f": pip install -c constraints.txt '.[{extra}]'" if extra else ""
        super().__init__(message + command)


class InvalidImage(GLPNError, ValueError):
    """The bytes or the array cannot be understood as one RGB photograph."""


class UnsupportedImage(InvalidImage):
    """The bytes are no image of a format that glpn reads; the message names the format."""

    http_status = 415


class ImageTooLarge(InvalidImage):
    """The image declares more pixels, or the file more bytes, than the limit."""

    http_status = 413


class ConfigError(GLPNError, ValueError):
    """A configuration has an unknown, mistyped or impossible value."""


class CheckpointError(GLPNError, ValueError):
    """A weights file is damaged, unsafe, or does not fit the configuration."""


class DataError(GLPNError, ValueError):
    """A dataset, a depth map or a list of frames is unusable."""


class InexactExport(GLPNError, ValueError):
    """An exported file deviates further from the network than it may; it is not written."""


class MissingInput(GLPNError, FileNotFoundError):
    """A file, a folder or a hub id that should be read is not there."""

    exit_code = 66
    http_status = 404


class CannotCreateOutput(GLPNError, OSError):
    """The output cannot be created: no permission, no folder, or it exists already."""

    exit_code = 73
    http_status = 422


class OutputFailed(GLPNError, OSError):
    """Writing failed on the way: the disk is full, a quota is reached, the device failed."""

    exit_code = 74
    http_status = 422


class EditedFileWarning(UserWarning):
    """A configuration or preprocessor differs from the one that its folder was signed with."""


# Exit codes, the one that counts first: an output that failed needs the user's hand, a bad
# photograph outweighs one that is not there.
_PRECEDENCE = (
    OutputFailed.exit_code,
    CannotCreateOutput.exit_code,
    GLPNError.exit_code,
    MissingInput.exit_code,
    UsageError.exit_code,
)


def worst(codes: Iterable[int]) -> int:
    """The exit code of several failures: the first of 74, 73, 65, 66, 2; 0 of none."""
    return min(codes, key=_PRECEDENCE.index, default=0)


def require_choice(
    name: str, value: object, known: Collection[str], error: type[GLPNError] = UsageError
) -> None:
    """Refuse a value that is none of the known ones, with an error that lists them."""
    if value not in known:
        raise error(f"{name}: expected one of {', '.join(known)}; got {value!r}")


def reason(error: BaseException, limit: int = 200) -> str:
    """The message of another library's error; some repeat the damaged file in full."""
    text = str(error)
    return text if len(text) <= limit else f"{text[:limit]} …"
