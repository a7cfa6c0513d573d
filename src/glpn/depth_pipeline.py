"""`glpn.pipeline`: the call of `transformers.pipeline("depth-estimation")`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.engines.options import DEFAULT_MODEL
from glpn.errors import MissingDependency, UsageError, require_choice
from glpn.estimator import DepthEstimator, load
from glpn.image.photo import Photo
from glpn.image.sources import open_source, sequence_of
from glpn.processing.processor import GLPNImageProcessor
from glpn.weights import HUB_OPTIONS

TASK = "depth-estimation"
TENSOR_KINDS = ("pt", "np")

# Keywords of transformers that change nothing here: photos are predicted one at a time, and code
# from a repository is never run.
WITHOUT_EFFECT = frozenset(
    {"batch_size", "num_workers", "trust_remote_code", "use_fast", "framework", "tokenizer"}
    | {"processor", "video_processor", "pipeline_class"}
)
_FRAMEWORKS = (None, "pt")


def pipeline(
    task: str | None = TASK,
    model: Any = DEFAULT_MODEL,
    *,
    image_processor: Any = None,
    feature_extractor: Any = None,
    config: Any = None,
    model_kwargs: Mapping[str, object] | None = None,
    device: Any = None,
    device_map: Any = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    return_tensors: str = "pt",
    fetch_urls: bool = False,
    **options: Any,
) -> DepthPipeline:
    """A callable that replaces `transformers.pipeline("depth-estimation")`.

    A model's name runs on the fastest engine, as with `glpn.load`, on at most a megapixel. A model
    object, or any of image_processor, config, model_kwargs and a half-precision dtype, runs the
    torch module on the processor's own size, exactly as transformers does.

    Args:
        task: "depth-estimation".
        model: any model that `glpn.load` takes, or a model object.
        image_processor, feature_extractor: a processor, or where to find one.
        config: a configuration for the model's name.
        model_kwargs: further keywords of `GLPNForDepthEstimation.from_pretrained`.
        device: as for `glpn.load`, a `torch.device`, or, as transformers counts them, -1 for the
            CPU and 0, 1, … for CUDA devices.
        device_map: the same under another name; one device for the whole model.
        dtype, torch_dtype: floating type of the weights; float32 if None or "auto".
        return_tensors: "pt" gives the metres as a torch tensor, as transformers does; "np" as an
            array, without torch.
        fetch_urls: download http(s) addresses; by default they raise an error.
        **options: those of `glpn.load`; batch_size, framework, num_workers, tokenizer,
            trust_remote_code and use_fast change nothing.

    Raises:
        UsageError: the task is another one, or a keyword or its value unknown.
        MissingDependency: tensors are requested and torch is not installed.
    """
    _require_task(task, return_tensors, options)
    kept = {name: value for name, value in options.items() if name not in WITHOUT_EFFECT}
    place = _device(device if device is not None else device_map)
    dtype = dtype if dtype is not None else torch_dtype
    processor = image_processor if image_processor is not None else feature_extractor
    named = isinstance(model, (str, Path)) or model is None
    full = str(dtype).removeprefix("torch.") in ("None", "auto", "float32")
    if named and processor is None and config is None and not model_kwargs and full:
        estimator = load(model or DEFAULT_MODEL, device=place, **kept)
        reload = {k: v for k, v in kept.items() if k in HUB_OPTIONS or k == "max_depth"}
        load_model = functools.partial(_Module.load, model or DEFAULT_MODEL, reload)
        return DepthPipeline(
            estimator,
            return_tensors=return_tensors,
            fetch_urls=fetch_urls,
            load_model=load_model,
        )
    loading = {**(model_kwargs or {}), **({} if config is None else {"config": config})}
    module = _Module.open(model, processor, {**kept, **loading}, device=place, dtype=dtype)
    return DepthPipeline(module, return_tensors=return_tensors, fetch_urls=fetch_urls)


def _require_task(task: str | None, return_tensors: str, options: Mapping[str, object]) -> None:
    if task not in (None, TASK):
        raise UsageError(f"task: expected {TASK!r}, got {task!r}")
    require_choice("return_tensors", return_tensors, TENSOR_KINDS)
    if return_tensors == "pt" and find_spec("torch") is None:
        raise MissingDependency(
            "pipeline returns torch tensors unless return_tensors='np'", extra="torch"
        )
    if options.get("framework") not in _FRAMEWORKS:
        raise UsageError(f"framework: expected 'pt', got {options['framework']!r}")
    for name in ("tokenizer", "processor", "video_processor", "pipeline_class"):
        if options.get(name) is not None:
            raise UsageError(f"{name}: a depth estimator has none")


class DepthPipeline:
    """Photos in, `{"predicted_depth": metres, "depth": picture}` out; `pipeline` makes it.

    Args:
        source: predicts; an estimator, or a module with its processor.
        return_tensors, fetch_urls: the same arguments as those of `pipeline`.
        load_model: gives the torch module of an estimator's model.
    """

    task = TASK
    framework = "pt"
    tokenizer = None

    def __init__(
        self,
        source: DepthEstimator | _Module,
        *,
        return_tensors: str,
        fetch_urls: bool = False,
        load_model: Callable[[], Any] | None = None,
    ) -> None:
        self._load_model = load_model
        self._source = source
        self.return_tensors = return_tensors
        self.fetch_urls = fetch_urls

    @property
    def estimator(self) -> DepthEstimator:
        """The estimator behind a pipeline that was made from a name.

        Raises:
            UsageError: it was made from a model object.
        """
        if isinstance(self._source, DepthEstimator):
            return self._source
        raise UsageError("pipeline: made from a model object, it has no estimator")

    @functools.cached_property
    def model(self) -> Any:
        """The network as a torch module; loaded at first use where another engine predicts."""
        if isinstance(self._source, _Module):
            return self._source.model
        if self._load_model is None:
            raise UsageError("pipeline: made from an estimator, it has no torch module")
        return self._load_model()

    @property
    def image_processor(self) -> Any:
        """The processor of the photos."""
        return self._source.processor

    feature_extractor = image_processor

    @property
    def device(self) -> Any:
        """The device that predicts, as a `torch.device`."""
        import torch

        from glpn.engines.torch import TorchEngine

        if isinstance(self._source, _Module):
            return next(self._source.model.parameters()).device
        engine = self._source.engine  # only that of torch runs on other devices than the CPU
        return engine.device if isinstance(engine, TorchEngine) else torch.device("cpu")

    @property
    def dtype(self) -> Any:
        """The floating type of the weights, as a `torch.dtype`."""
        import torch

        return self._source.model.dtype if isinstance(self._source, _Module) else torch.float32

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> None:
        """Write the model and the processor into a folder; options as the model's own method."""
        self.model.save_pretrained(save_directory, **options)
        self.image_processor.save_pretrained(save_directory)

    def __call__(self, inputs: Any = None, *, images: Any = None, **options: Any) -> Any:
        """Estimate depth.

        Args:
            inputs: one photo, as for `glpn.load(...)`, a `data:` address, base64, or a mapping
                with the key "image"; or a list, an iterator or a dataset of them.
            images: the same under its older name.
            **options: timeout in seconds, for addresses; the names without effect of `pipeline`.

        Returns:
            For a photo a dictionary: `predicted_depth`, float32 metres [H, W], and `depth`,
            a PIL picture in 8-bit grey from the nearest (0) to the farthest (255). For a list a
            list of them, for an iterator or a dataset an iterator.

        Raises:
            UsageError: no photo, or an unknown option.
            MissingInput: an address that may not be fetched, or no such file.
            InvalidImage: a photo cannot be read.
        """
        unknown = sorted(options.keys() - WITHOUT_EFFECT - {"timeout", "dtype", "torch_dtype"})
        if unknown:
            raise UsageError(f"pipeline: unknown option {unknown[0]!r}")
        source = images if inputs is None else inputs
        if source is None:
            raise UsageError("pipeline: expected a photo, or a list of photos")
        timeout = options.get("timeout")
        many = sequence_of(source)
        if many is None:
            return self._result(source, timeout)
        results = (self._result(item, timeout) for item in many)
        return list(results) if isinstance(source, (list, tuple)) else results

    def _result(self, source: Any, timeout: float | None) -> dict[str, object]:
        photo = open_source(source, fetch_urls=self.fetch_urls, timeout=timeout)
        if isinstance(self._source, DepthEstimator):
            metres = self._source(photo).metres.copy()  # a Depth's own are read-only
        else:
            metres = self._source(photo)
        return {"predicted_depth": self._tensor(metres), "depth": grey_picture(metres)}

    def _tensor(self, metres: NDArray[np.float32]) -> Any:
        if self.return_tensors == "np":
            return metres
        import torch

        return torch.from_numpy(metres)


class _Module:
    """A torch module with its processor, of glpn or of transformers."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor

    @staticmethod
    def load(name: str | Path, options: Mapping[str, object]) -> Any:
        """The model of this name."""
        from glpn.network.model import GLPNForDepthEstimation

        return GLPNForDepthEstimation.from_pretrained(name, **options)

    @classmethod
    def open(
        cls, model: Any, processor: Any, options: dict[str, object], *, device: str, dtype: Any
    ) -> _Module:
        """Load the parts given by name, and move the model to its device and type."""
        source = model
        if model is None or isinstance(model, (str, Path)):
            source = model or DEFAULT_MODEL
            model = cls.load(source, options)
        elif options:
            raise UsageError(f"pipeline: unknown option {next(iter(options))!r} for a model object")
        if processor is None:
            source = source if isinstance(source, (str, Path)) else _origin(model)
            hub = {key: value for key, value in options.items() if key in HUB_OPTIONS}
            processor = GLPNImageProcessor.from_pretrained(source, **hub)
        elif isinstance(processor, (str, Path)):
            processor = GLPNImageProcessor.from_pretrained(processor)
        if dtype not in (None, "auto"):
            from glpn.weights import torch_dtype

            model = model.to(torch_dtype(dtype))
        return cls(model.to(device) if device != "auto" else model, processor)

    def __call__(self, photo: Photo) -> NDArray[np.float32]:
        """Metres float32 [H, W] of one photo."""
        import torch

        inputs = self.processor(images=Image.fromarray(photo.pixels), return_tensors="pt")
        first = next(self.model.parameters())
        pixels = inputs["pixel_values"].to(first.device, first.dtype)
        with torch.inference_mode():
            outputs = self.model(pixel_values=pixels, return_dict=True)
        sizes = [tuple(photo.size)]
        result = self.processor.post_process_depth_estimation(outputs, target_sizes=sizes)
        metres: NDArray[np.float32] = result[0]["predicted_depth"].float().cpu().numpy()
        return metres


def _origin(model: Any) -> str:
    """The name or folder from which a model object was loaded."""
    name = getattr(model, "name_or_path", "") or getattr(model.config, "name_or_path", "")
    if not name:
        raise UsageError("pipeline: give image_processor beside a model object")
    return str(name)


def grey_picture(metres: NDArray[np.float32]) -> Image.Image:
    """The 8-bit picture of transformers' pipeline: nearest black, farthest white, rounded down."""
    low, high = metres.min(), metres.max()
    share = (metres - low) / max(high - low, np.float32(1e-9))
    return Image.fromarray((share * 255).astype(np.uint8))


def _device(device: Any) -> str:
    """The device under the name that `glpn.load` knows."""
    if isinstance(device, Mapping):
        named = set(device.values())
        if len(named) != 1:
            raise UsageError(f"device_map: expected one device for the model, got {device!r}")
        device = named.pop()
    if isinstance(device, int):
        return "cpu" if device < 0 else f"cuda:{device}"
    return "auto" if device is None else str(device)
