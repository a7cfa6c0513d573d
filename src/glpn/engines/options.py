"""The options that open a model: one record, which every entry point passes to the engines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_MODEL = "glpn-b0-indoor"


@dataclass(frozen=True)
class HubOptions:
    """Options for a model on the Hugging Face hub; ignored for folders and bundled models.

    Attributes:
        revision: branch, tag or commit.
        cache_dir: folder for downloads; the hub library's default if None.
        local_files_only: use earlier downloads and never the network.
        token: access token for private repositories; None uses the stored login, False none.
    """

    revision: str | None = None
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    token: str | bool | None = None


@dataclass(frozen=True)
class EngineOptions:
    """Which model to open, and how to compute it.

    Attributes:
        model: a bundled name, a folder, or a hub id "user/name".
        engine: "auto", or the name of an engine.
        device: "auto", "cpu", "cuda", "cuda:1" or "mps".
        threads: CPU threads of one prediction; one per usable core if None.
        max_depth: metres at the sigmoid's 1; the value of the model's configuration if None.
        precision: "auto", "float32" or "reduced".
        hub: options for models on the hub.
    """

    model: str | Path = DEFAULT_MODEL
    engine: str = "auto"
    device: str = "auto"
    threads: int | None = None
    max_depth: float | None = None
    precision: str = "auto"
    hub: HubOptions = field(default_factory=HubOptions)
