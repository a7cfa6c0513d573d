"""The sections of a recipe, one record each: their settings and the values that are possible."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from glpn.data.dataset_spec import DatasetSpec
from glpn.errors import ConfigError, require_choice
from glpn.evaluation.metrics import METRIC_NAMES
from glpn.evaluation.protocols import PROTOCOLS
from glpn.network.config import PRESETS, GLPNConfig

STORAGE = ("disk", "memory", "device")
OPTIMISERS = ("adam", "adamw", "muon")
SCHEDULES = ("published", "one-cycle", "cosine", "constant")
PRECISIONS = ("fp32", "bf16", "fp16")
LOSSES = ("silog", "scale-shift")
BEYOND_MAX_DEPTH = ("ignore", "learn")


@dataclass(frozen=True)
class ModelOptions:
    """The network and its first weights.

    Attributes:
        start: a whole GLPN to continue from: bundled name, folder or hub id.
        encoder: an encoder to start from (MiT file, folder or hub id); the decoder is random.
        preset: "b0" to "b5", where `start` is not given.
        config: further fields of `GLPNConfig`: max_depth, decoder_hidden_size, fusion, ...
    """

    start: str | None = None
    encoder: str | None = None
    preset: str = "b0"
    config: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_choice("model.preset", self.preset, PRESETS, ConfigError)
        if self.start is not None and self.encoder is not None:
            raise ConfigError("model.start and model.encoder exclude each other")
        if self.start is None:
            self.network()

    def network(self) -> GLPNConfig:
        """The network's configuration, where `start` does not define it."""
        try:
            return GLPNConfig.preset(self.preset, **self.config)
        except ConfigError as e:
            raise ConfigError(f"model.config: {e}") from None


@dataclass(frozen=True)
class MixOptions:
    """One dataset of a mix: `[data.mix.NAME]`.

    Attributes:
        folder: folder of the dataset, or of photos if `labels` is False.
        count: frames of this dataset in every batch.
        labels: False if the photos have no depth; a teacher then supplies it.
        layout: name of a known layout; recognised if None.
        list, split: a list file, or "train", "val", "test".
        limit: use at most this many frames, evenly spaced.
        loss: "silog" for true metres, "scale-shift" for depth that is right only up to a scale and
            a shift of 1 / depth.
        weight: an additional loss weight for this dataset, besides its share of the batch.
        edges: weight of the gradient loss, which sharpens edges.
        aspect: least and greatest factor by which photos are widened at random; for photos whose
            aspect ratio was changed at the source.
    """

    folder: str = ""
    count: int = 1
    labels: bool = True
    layout: str | None = None
    list: str | None = None
    split: str | None = None
    limit: int | None = None
    loss: str = "silog"
    weight: float = 1.0
    edges: float = 0.0
    aspect: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not self.folder:
            raise ConfigError("data.mix: every dataset needs a folder")
        require_choice("data.mix.loss", self.loss, LOSSES, ConfigError)
        _at_least("data.mix.count", self.count, 1)
        for key in ("weight", "edges"):
            _at_least(f"data.mix.{key}", getattr(self, key), 0)
        if self.limit is not None:
            _at_least("data.mix.limit", self.limit, 1)
        if not 0 < self.aspect[0] <= self.aspect[1] < math.inf:
            raise ConfigError(f"data.mix.aspect: expected 0 < least <= most, got {self.aspect}")


@dataclass(frozen=True)
class DataOptions:
    """The frames to learn from and the frames to hold back; see `glpn.data.datasets`.

    Attributes:
        train: folder to learn from.
        val: folder to validate on. If None, frames of `train` are held out where `val_list`,
            `val_split` or `val_share` selects them, and there is no validation otherwise.
        mix: datasets to learn from together, instead of `train`.
        layout: name of a known layout; recognised if None.
        folder: fields of `DatasetSpec` that describe the folders, instead of a layout.
        train_list, val_list: list files. train_split, val_split: "train", "val", "test".
        val_share: hold back this share of the training folder: its last frames, so that neighbours
            in a video are not on both sides.
        limit, val_limit: use at most this many frames, evenly spaced.
        short_side: frames are scaled until their shorter side has this many pixels, as the
            exported model's processor will scale photos. If None, the starting model's value is
            used; without one, frames keep their size.
        focal_ratio: convert the depth of every frame whose camera is known to that of a camera with
            this focal length, in units of the image's shorter side; for datasets of several
            cameras. The exported model's metres are then those of this camera.
        keep: "disk" reads every frame anew, "memory" keeps them decoded, "device" keeps them on
            the accelerator and augments them there.
    """

    train: str | None = None
    val: str | None = None
    mix: Mapping[str, MixOptions] = field(default_factory=dict)
    layout: str | None = None
    folder: Mapping[str, object] = field(default_factory=dict)
    train_list: str | None = None
    val_list: str | None = None
    train_split: str | None = None
    val_split: str | None = None
    val_share: float = 0.0
    limit: int | None = None
    val_limit: int | None = None
    short_side: int | None = None
    focal_ratio: float | None = None
    keep: str = "disk"

    def __post_init__(self) -> None:
        require_choice("data.keep", self.keep, STORAGE, ConfigError)
        if not 0 <= self.val_share < 1:
            raise ConfigError(f"data.val_share: expected 0 <= value < 1, got {self.val_share}")
        for key in ("limit", "val_limit", "short_side"):
            if getattr(self, key) is not None:
                _at_least(f"data.{key}", getattr(self, key), 1)
        if self.focal_ratio is not None and not self.focal_ratio > 0:
            raise ConfigError(f"data.focal_ratio: expected a number > 0, got {self.focal_ratio}")
        if self.layout is not None and self.folder:
            raise ConfigError("data.layout and data.folder exclude each other")
        if self.mix and (self.train is not None or self.val_share or self.limit is not None):
            raise ConfigError("data.mix excludes data.train, data.val_share and data.limit")
        for key in ("list", "split"):
            if self.mix and getattr(self, f"train_{key}") is not None:
                raise ConfigError(
                    f"data.mix excludes data.train_{key}; set data.mix.NAME.{key} instead"
                )
        if self.mix and self.keep == "device":
            raise ConfigError("data.mix: data.keep=device supports only one dataset")
        self.spec()

    def spec(self) -> DatasetSpec | None:
        """The description of the folders, where they are not to be recognised."""
        try:
            return DatasetSpec.from_dict(self.folder) if self.folder else None
        except ConfigError as e:
            raise ConfigError(f"data.folder: {e}") from None


@dataclass(frozen=True)
class TeacherOptions:
    """Distillation: a trained model whose depth and features the network learns.

    Attributes:
        model: the teacher: bundled name, folder or hub id. None trains without a teacher.
        features: weight of the distance between the feature maps of both encoders.
        max_share: the teacher's depth replaces missing depth up to this share of its `max_depth`.
            Depth near the limit is not reliable: the sigmoid saturates there.
    """

    model: str | None = None
    features: float = 0.0
    max_share: float = 0.85

    def __post_init__(self) -> None:
        _at_least("teacher.features", self.features, 0)
        if not 0 < self.max_share <= 1:
            raise ConfigError(f"teacher.max_share: expected 0 < value <= 1, got {self.max_share}")


@dataclass(frozen=True)
class OptimiserOptions:
    """How gradients become updates.

    Attributes:
        kind: "adam" (published), "adamw" or "muon" (see `muon.Muon`).
        weight_decay: weight decay of matrices and kernels; biases and norms never decay.
        layer_decay: the rate of each encoder block is that of the block above times this; 1 is off.
        freeze: prefixes of parameters that do not learn: "glpn" is the whole encoder.
        clip_norm: longer gradients are shortened to this length; 0 is off.
    """

    kind: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    layer_decay: float = 1.0
    freeze: tuple[str, ...] = ()
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        require_choice("optimiser.kind", self.kind, OPTIMISERS, ConfigError)
        for key in ("weight_decay", "clip_norm"):
            _at_least(f"optimiser.{key}", getattr(self, key), 0)
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"optimiser.layer_decay: expected 0 < v <= 1, got {self.layer_decay}")
        if not all(0 <= beta < 1 for beta in self.betas) or not self.eps > 0:
            raise ConfigError(f"optimiser: impossible betas {self.betas} or eps {self.eps}")


@dataclass(frozen=True)
class ScheduleOptions:
    """The learning rate over the run; see `optimiser.learning_rate`.

    Attributes:
        kind: "published", "one-cycle", "cosine" or "constant".
        rate: the highest rate.
        start_rate, end_rate: learning rates at the first and after the last step.
        power: exponent of the published curve.
        peak: share of the run after which the published curve is highest.
        warmup: steps over which the rate rises from 0 to the curve.
    """

    kind: str = "published"
    rate: float = 1e-4
    start_rate: float = 3e-5
    end_rate: float = 3e-5
    power: float = 0.9
    peak: float = 0.5
    warmup: int = 0

    def __post_init__(self) -> None:
        require_choice("schedule.kind", self.kind, SCHEDULES, ConfigError)
        for key in ("rate", "start_rate", "end_rate", "power", "warmup"):
            _at_least(f"schedule.{key}", getattr(self, key), 0)
        if not 0 < self.peak < 1:
            raise ConfigError(f"schedule.peak: expected 0 < value < 1, got {self.peak}")


@dataclass(frozen=True)
class LoopOptions:
    """Everything else that decides the result.

    Attributes:
        epochs: passes over the frames; `steps`, if not 0, sets the number of updates instead.
        batch: frames per update, over all processes.
        accumulate: number of parts in which a batch is computed, to save memory. The loss is then
            the mean of the parts' losses, and BatchNorm sees one part at a time.
        precision: "fp32", or autocast to "bf16" or "fp16".
        ema: decay of the averaged weights, which are then validated and exported; 0 is off.
        beyond_max_depth: "ignore" treats depth beyond the network's range as unknown; "learn"
            keeps it as a target, as the authors' code does.
        checkpointing: recompute activations in the backward pass instead of storing them.
        compile: torch.compile.
        validate_every: steps; 0 is after each epoch. The run also begins with a validation.
        protocol: how validation scores; its `max_depth` is the network's where that is lower.
        metric: decides which model is best.
        patience: stop after this many validations without a better one; 0 never stops.
        log_every: steps.
        seed: determines the first weights, the order, the augmentation and the dropped paths.
    """

    epochs: int = 25
    steps: int = 0
    batch: int = 12
    accumulate: int = 1
    precision: str = "fp32"
    ema: float = 0.0
    beyond_max_depth: str = "ignore"
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
        require_choice("loop.precision", self.precision, PRECISIONS, ConfigError)
        require_choice("loop.protocol", self.protocol, PROTOCOLS, ConfigError)
        require_choice("loop.metric", self.metric, METRIC_NAMES, ConfigError)
        require_choice(
            "loop.beyond_max_depth", self.beyond_max_depth, BEYOND_MAX_DEPTH, ConfigError
        )
        if not 0 <= self.ema < 1:
            raise ConfigError(f"loop.ema: expected 0 <= value < 1, got {self.ema}")
        if self.batch % self.accumulate:
            raise ConfigError(f"loop.accumulate: {self.accumulate} does not divide {self.batch}")


@dataclass(frozen=True)
class RunOptions:
    """Where and how a run happens; none of this decides what it learns.

    Attributes:
        folder: folder for everything that the run writes.
        save_every: steps between checkpoints.
        keep: number of checkpoints to keep.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        threads: torch's threads on the CPU; 0 keeps its own choice. Another number can change
            the last bits of the result.
        workers: processes that read frames; 0 reads in a thread.
        doctor: check the data before the first step.
        samples: number of validation frames to draw at each validation.
        tensorboard: also log for TensorBoard.
        progress: report progress on standard error.
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


def _at_least(key: str, value: float, least: float) -> None:
    if not least <= value < math.inf:
        raise ConfigError(f"{key}: expected a finite number of at least {least}, got {value}")
