"""The sections of a recipe, one record each: what they hold, and which values are possible."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from glpn.data.dataset_spec import DatasetSpec
from glpn.errors import ConfigError
from glpn.evaluation.metrics import METRIC_NAMES
from glpn.evaluation.protocols import PROTOCOLS
from glpn.network.config import PRESETS, GLPNConfig

KEEPS = ("disk", "memory", "device")
OPTIMISERS = ("adam", "adamw")
SCHEDULES = ("published", "one-cycle", "cosine", "constant")
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class ModelOptions:
    """Which network is trained and what it starts from.

    Attributes:
        start: a whole GLPN to go on from: bundled name, folder or hub id.
        encoder: or an encoder alone: MiT file, folder or hub id; the decoder starts at random.
        preset: "b0" to "b5", where `start` is not given.
        config: further fields of `GLPNConfig`: max_depth, decoder_hidden_size, fusion, ...
    """

    start: str | None = None
    encoder: str | None = None
    preset: str = "b0"
    config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _one_of("model.preset", self.preset, tuple(PRESETS))
        if self.start is not None and self.encoder is not None:
            raise ConfigError("model.start and model.encoder exclude each other")
        if self.start is None:
            self.network()

    def network(self) -> GLPNConfig:
        """The network's configuration, where `start` does not tell it."""
        try:
            return GLPNConfig.preset(self.preset, **self.config)
        except ConfigError as e:
            raise ConfigError(f"model.config: {e}") from None


@dataclass(frozen=True)
class DataOptions:
    """Which frames are learnt and which are held back; see `glpn.data.datasets`.

    Attributes:
        train, val: folders; `val` None means that of `train`, where a list, a split or a share
            says which frames are held back, and no validation where nothing does.
        layout: a known layout's name; recognised if None.
        folder: or fields of `DatasetSpec` that describe the folders.
        train_list, val_list: list files. train_split, val_split: "train", "val", "test".
        val_share: hold back this share of the training folder, the last frames in its order, so
            that neighbours in a video are not on both sides.
        limit, val_limit: at most so many frames, evenly spread.
        short_side: frames are scaled until their shorter side has so many pixels, as the exported
            model's processor will scale photographs; the starting model's own value if None, and
            where it has none frames keep their size.
        keep: "disk" reads every frame anew, "memory" keeps them decoded, "device" keeps them on
            the accelerator and augments them there.
    """

    train: str | None = None
    val: str | None = None
    layout: str | None = None
    folder: Mapping[str, Any] = field(default_factory=dict)
    train_list: str | None = None
    val_list: str | None = None
    train_split: str | None = None
    val_split: str | None = None
    val_share: float = 0.0
    limit: int | None = None
    val_limit: int | None = None
    short_side: int | None = None
    keep: str = "disk"

    def __post_init__(self) -> None:
        _one_of("data.keep", self.keep, KEEPS)
        if not 0 <= self.val_share < 1:
            raise ConfigError(f"data.val_share: expected 0 <= value < 1, got {self.val_share}")
        for key in ("limit", "val_limit", "short_side"):
            if getattr(self, key) is not None:
                _at_least(f"data.{key}", getattr(self, key), 1)
        if self.layout is not None and self.folder:
            raise ConfigError("data.layout and data.folder exclude each other")
        self.spec()

    def spec(self) -> DatasetSpec | None:
        """What the folders look like, where that is not to be recognised."""
        try:
            return DatasetSpec.from_dict(self.folder) if self.folder else None
        except ConfigError as e:
            raise ConfigError(f"data.folder: {e}") from None


@dataclass(frozen=True)
class OptimiserOptions:
    """How gradients become updates.

    Attributes:
        kind: "adam" (published) or "adamw".
        weight_decay: of matrices and kernels; biases and norms are never decayed.
        layer_decay: each encoder block's rate is that of the block above times this; 1 is off.
        freeze: prefixes of parameters that do not learn: "glpn" is the whole encoder.
        clip_norm: gradients longer than this are shortened to it; 0 is off.
    """

    kind: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    layer_decay: float = 1.0
    freeze: tuple[str, ...] = ()
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        _one_of("optimiser.kind", self.kind, OPTIMISERS)
        for key in ("weight_decay", "clip_norm"):
            _at_least(f"optimiser.{key}", getattr(self, key), 0)
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"optimiser.layer_decay: expected 0 < v <= 1, got {self.layer_decay}")
        if not all(0 <= beta < 1 for beta in self.betas) or not self.eps > 0:
            raise ConfigError(f"optimiser: impossible betas {self.betas} or eps {self.eps}")


@dataclass(frozen=True)
class ScheduleOptions:
    """The learning rate over the run; see `schedule.learning_rate`.

    Attributes:
        kind: "published", "one-cycle", "cosine" or "constant".
        rate: the highest.
        start_rate, end_rate: at the first and after the last step.
        power: of the published curve.
        warmup: steps over which the rate rises from nothing to what the curve says.
    """

    kind: str = "published"
    rate: float = 1e-4
    start_rate: float = 3e-5
    end_rate: float = 3e-5
    power: float = 0.9
    warmup: int = 0

    def __post_init__(self) -> None:
        _one_of("schedule.kind", self.kind, SCHEDULES)
        for key in ("rate", "start_rate", "end_rate", "power", "warmup"):
            _at_least(f"schedule.{key}", getattr(self, key), 0)


@dataclass(frozen=True)
class LoopOptions:
    """Everything else that decides the result.

    Attributes:
        epochs: passes over the frames; `steps`, if not 0, says how many updates instead.
        batch: frames per update, over all processes.
        accumulate: parts in which a batch is computed, to save memory; SiLog is then the mean of
            the parts' losses. BatchNorm sees one part at a time.
        precision: "fp32", or autocast to "bf16" or "fp16".
        ema: decay of the averaged weights, which are then validated and exported; 0 is off.
        checkpointing: recompute activations in the backward pass instead of keeping them.
        compile: torch.compile.
        validate_every: steps; 0 is after each epoch. There is one before the first step, too.
        protocol: how validation scores; `max_depth` is that of the network where lower.
        metric: which decides what is best. patience: stop after so many validations without a
            better one; 0 is never.
        log_every: steps.
        seed: of the first weights, the order, the augmentation and the dropped paths.
    """

    epochs: int = 25
    steps: int = 0
    batch: int = 12
    accumulate: int = 1
    precision: str = "fp32"
    ema: float = 0.0
    checkpointing: bool = False
    compile: bool = False
    validate_every: int = 0
    protocol: str = "folder"
    metric: str = "abs_rel"
    patience: int = 0
    log_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("epochs", "batch", "accumulate", "log_every"):
            _at_least(f"loop.{key}", getattr(self, key), 1)
        for key in ("steps", "validate_every", "patience", "seed"):
            _at_least(f"loop.{key}", getattr(self, key), 0)
        _one_of("loop.precision", self.precision, PRECISIONS)
        _one_of("loop.protocol", self.protocol, tuple(PROTOCOLS))
        _one_of("loop.metric", self.metric, METRIC_NAMES)
        if not 0 <= self.ema < 1:
            raise ConfigError(f"loop.ema: expected 0 <= value < 1, got {self.ema}")
        if self.batch % self.accumulate:
            raise ConfigError(f"loop.accumulate: {self.accumulate} does not divide {self.batch}")


@dataclass(frozen=True)
class RunOptions:
    """Where and how a run happens; none of this decides what it learns.

    Attributes:
        folder: of everything that is written.
        save_every: steps between checkpoints, of which the last `keep` are kept.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        threads: of torch on the CPU; 0 leaves its own choice. Another number may change the last
            bits of the result.
        workers: processes that read frames; 0 reads in a thread.
        doctor: examine the data before the first step.
        samples: pictures of so many validation frames at each validation.
        tensorboard: also log for TensorBoard.
        progress: show on standard error what happens.
    """

    folder: str = "runs/glpn"
    save_every: int = 500
    keep: int = 3
    device: str = "auto"
    threads: int = 0
    workers: int = 0
    doctor: bool = True
    samples: int = 0
    tensorboard: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        for key in ("save_every", "keep"):
            _at_least(f"run.{key}", getattr(self, key), 1)
        for key in ("threads", "workers", "samples"):
            _at_least(f"run.{key}", getattr(self, key), 0)


def _one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{key}: expected one of {', '.join(known)}; got {value!r}")


def _at_least(key: str, value: float, least: float) -> None:
    if not least <= value < math.inf:
        raise ConfigError(f"{key}: expected a finite number of at least {least}, got {value}")
