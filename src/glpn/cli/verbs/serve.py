"""`glpn serve`: runs the HTTP service."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, options
from glpn.errors import MissingDependency, UsageError

if TYPE_CHECKING:
    from glpn.engines.options import EngineOptions
    from glpn.estimator import DepthEstimator
    from glpn.serving.limits import Limits

_LIMITS = "Limits"
_MAX_DEADLINE = 3600  # seconds
_MANY_PHOTOS = 1000  # enough to select the fastest engine, even if it starts slowly
# Height and width of photos from common cameras, the most common first.
_CAMERA_SIZES = [
    (3000, 4000),
    (4000, 3000),
    (2160, 3840),
    (3840, 2160),
    (4000, 6000),
    (6000, 4000),
    (480, 640),
    (3000, 3000),
]
_UNITS = {"": 1, "KiB": 2**10, "MiB": 2**20}


@dataclass(frozen=True)
class _Limits:
    """What the service accepts."""

    max_body: Annotated[
        str,
        typer.Option(
            help="Maximum size of a request, in bytes, KiB or MiB.", rich_help_panel=_LIMITS
        ),
    ] = "16MiB"
    queue: Annotated[
        int,
        typer.Option(min=0, help="Requests that may wait for a worker.", rich_help_panel=_LIMITS),
    ] = 32
    deadline: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help=(
                "Time allowed for each of three phases: the headers, the body, and the wait "
                "until prediction starts."
            ),
            rich_help_panel=_LIMITS,
        ),
    ] = 15
    api_key_env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Environment variable that contains the key for X-API-Key.",
            rich_help_panel=_LIMITS,
        ),
    ] = None
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host name under which clients may reach the service, besides IP addresses and "
            "localhost; repeatable. * allows every name.",
            rich_help_panel=_LIMITS,
        ),
    ] = None
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Origin, such as https://app.example.org, whose pages may use the service from "
            "browsers; repeatable.",
            rich_help_panel=_LIMITS,
        ),
    ] = None
    max_megapixels: Annotated[
        float,
        typer.Option(
            min=0.1, max=200, help="Maximum size of a JPEG, in megapixels.", rich_help_panel=_LIMITS
        ),
    ] = 25

    def checked(self, host: str) -> Limits:
        """Return the limits of a service that listens on `host`.

        Raises:
            UsageError: an option has an impossible value.
        """
        from glpn.serving.limits import Limits

        return Limits(
            max_body=_bytes(self.max_body),
            max_pixels=int(self.max_megapixels * 1e6),
            queue=self.queue,
            deadline=_seconds(self.deadline),
            api_key=None if self.api_key_env is None else _key(self.api_key_env),
            hosts=frozenset(name.lower() for name in (host, *(self.allow_host or ()))),
            cors=frozenset(map(_origin, self.cors or ())),
        )


@options.grouped
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 means all addresses of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 selects a free one.")] = 8000,
    *,
    model: options.ModelGroup,
    given: _Limits,
) -> None:
    """Serve depth estimation over HTTP, with a page for browsers.

    Prints its address once it listens. SIGTERM and SIGINT (Ctrl-C) stop it after the last response.

    Examples:

      glpn serve
      glpn serve --host 0.0.0.0 --port 8080 --api-key-env GLPN_KEY
    """
    try:
        from glpn.serving import server
        from glpn.serving.app import make_app
        from glpn.serving.page import ModelCard
    except ImportError as e:
        raise MissingDependency(f"serve needs {e.name}", extra="serve") from e
    from glpn import weights

    limits = given.checked(host)
    engine_options = model.engine_options()
    estimator, concurrency = _open(engine_options)
    card = ModelCard.read(weights.resolve(engine_options.model))
    app = make_app(estimator, limits, concurrency=concurrency, card=card)
    listener = server.listen(host, port)
    server.log_to_standard_error()
    address = f"[{host}]" if ":" in host else host
    name, port = estimator.provenance.model, listener.getsockname()[1]
    console.print_line(f"glpn serves {name} on http://{address}:{port}")
    server.run(app, listener, limits)


def _open(engine_options: EngineOptions) -> tuple[DepthEstimator, int]:
    """Return the warm estimator and the number of predictions that run at a time."""
    import numpy as np

    from glpn.estimator import DepthEstimator
    from glpn.jobs import SharedEstimator

    shared = SharedEstimator(engine_options, photos=_MANY_PHOTOS)
    opened = shared.estimator()
    opened.prepare_sizes(_CAMERA_SIZES)
    opened.metres(np.zeros((480, 640, 3), np.uint8))  # warm up before the first request
    # Responses carry the provenance. It must not reveal a folder of this machine.
    provenance = dataclasses.replace(opened.provenance, model=_public_name(opened.provenance.model))
    same = DepthEstimator(opened.engine, opened.processor, provenance, opened.errors)
    return same, shared.concurrency


def _public_name(model: str) -> str:
    return Path(model).resolve().name if Path(model).is_dir() else model


def _origin(text: str) -> str:
    """An origin as browsers send it: in lower case, without a path."""
    if re.fullmatch(r"https?://[^/\s?#@,*]+", text) is None:
        raise UsageError(f"--cors: expected an origin like https://app.example.org, got {text!r}")
    return text.lower()


def _bytes(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,11})(|KiB|MiB)", text)
    if match is None:
        raise UsageError(f"--max-body: expected a number of bytes, KiB or MiB, got {text!r}")
    return int(match[1]) * _UNITS[match[2]]


def _seconds(deadline: float) -> float:
    if not 0 < deadline <= _MAX_DEADLINE:
        raise UsageError(
            f"--deadline: expected seconds above 0, up to {_MAX_DEADLINE}; got {deadline:g}"
        )
    return deadline


def _key(name: str) -> str:
    key = os.environ.get(name, "")
    if not key:
        raise UsageError(f"--api-key-env {name}: this environment variable is empty or not set")
    return key
