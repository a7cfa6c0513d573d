"""DepthEstimator: photo → processor → engine → Depth. Every entry point of glpn uses it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast, overload

import numpy as np
from numpy.typing import NDArray

import glpn
from glpn import weights
from glpn.camera.calibration import require_open_focal
from glpn.camera.camera import Camera
from glpn.camera.intrinsics import Intrinsics
from glpn.camera.selection import assumed_camera, choose_camera, rejected_exif
from glpn.depth.depth import Depth
from glpn.depth.errors import ErrorCurve
from glpn.depth.measurements import Measurements
from glpn.depth.provenance import Provenance
from glpn.engines.options import DEFAULT_MODEL, EngineOptions, HubOptions
from glpn.engines.precision import REDUCED
from glpn.engines.protocol import Engine, PreparingEngine, StochasticEngine
from glpn.engines.registry import FLOAT32
from glpn.engines.selection import open_engine
from glpn.engines.uncertainty import (
    deviation,
    flip_sigma,
    require_uncertainty,
    stochastic_depths,
)
from glpn.errors import UsageError
from glpn.image.arrays import is_many
from glpn.image.photo import Photo, PhotoSource, read_photo
from glpn.processing import tiling
from glpn.processing.processor import GLPNImageProcessor
from glpn.processing.resize import resize_depth

# The network's input has at most this many pixels, three times as many as in the published
# training. With MiT-b0, a 12-megapixel photo then needs less than 1 GB.
MAX_INPUT_PIXELS = 1_000_000

# Minimum size of a decoded JPEG, per side, as a multiple of the network's input size
# (`benchmarks/draft.py`).
MIN_DECODE_RATIO = 1.5

# Smallest predicted depth in metres. Without it, a sigmoid that underflows gives 0 m, which means
# "unknown" in files.
SMALLEST_DEPTH = 1e-3


def load(
    model: str | Path = DEFAULT_MODEL,
    *,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    max_depth: float | None = None,
    precision: str = "auto",
    photos: int | None = None,
    concurrency: int = 1,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> DepthEstimator:
    """Open a model for prediction.

    Args:
        model: a bundled name (`glpn models` lists them), a folder, or a hub id "user/name".
        engine: "auto", "onnxruntime", "openvino" or "torch".
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        threads: CPU threads for one prediction; one per usable core if None.
        max_depth: maximum depth in metres, where the sigmoid is 1. Overrides the checkpoint's
            value if that is wrong (80 for the published KITTI weights).
        precision: "float32"; "reduced", which is faster and less accurate, and only available
            for weights that passed `glpn precision`; or "auto": reduced where it is available
            and faster.
        photos: number of photos to predict, if known. Used to choose between an engine that
            starts quickly and one that predicts quickly.
        concurrency: number of threads that call the estimator at once; each call then runs on
            `threads` threads.
        revision, cache_dir, local_files_only, token: see `HubOptions`.

    Raises:
        MissingInput: the model does not exist.
        MissingDependency: the requested engine is not installed.
        UsageError: an option has an unknown value, or reduced precision is unavailable.
        ConfigError, CheckpointError: the model's files are damaged or inconsistent.
    """
    hub = HubOptions(revision, cache_dir, local_files_only, token)
    options = EngineOptions(model, engine, device, threads, max_depth, precision, hub)
    return DepthEstimator.open(options, photos=photos, concurrency=concurrency)


class DepthEstimator:
    """Turns a photo into a `Depth` in metres, and a list or iterator of photos into an iterator.

    Args:
        engine: runs the network.
        processor: scales photos to the network's input.
        provenance: the origin recorded in every `Depth`.
        errors: measured errors of the network's own metres; None if they were not measured.
    """

    def __init__(
        self,
        engine: Engine,
        processor: GLPNImageProcessor,
        provenance: Provenance,
        errors: ErrorCurve | None = None,
    ) -> None:
        self.engine = engine
        self.processor = processor
        self.provenance = provenance
        self.errors = errors
        self._reopen: tuple[EngineOptions, int] | None = None  # arguments of `open`

    @classmethod
    def open(
        cls, options: EngineOptions, *, photos: int | None = None, concurrency: int = 1
    ) -> DepthEstimator:
        """Open a model. See `load` for `photos`, `concurrency` and the exceptions raised."""
        folder = weights.resolve(options.model, **dataclasses.asdict(options.hub))
        engine = open_engine(folder, options, photos=photos, concurrency=concurrency)
        provenance = Provenance(
            model=str(options.model),
            model_hash=weights.weights_hash(folder),
            settings_hash=weights.settings_hash(folder),
            engine=engine.name,
            precision=engine.precision,
            glpn_version=glpn.__version__,
            max_depth=float(engine.config.max_depth),
        )
        # With another max_depth, the recorded errors do not apply.
        errors = weights.read_errors(folder) if options.max_depth is None else None
        estimator = cls(engine, GLPNImageProcessor.from_pretrained(folder), provenance, errors)
        precision = FLOAT32 if engine.precision == FLOAT32 else REDUCED
        model = folder.resolve() if Path(options.model).is_dir() else options.model
        same = dataclasses.replace(options, model=model, engine=engine.name, precision=precision)
        estimator._reopen = same, concurrency
        return estimator

    def __reduce__(self) -> tuple[object, ...]:
        """Copies and pickles contain the options, and open the engine again.

        Raises:
            UsageError: the estimator was made from an engine, not opened.
        """
        if self._reopen is None:
            raise UsageError("an estimator can be copied or pickled if it comes from glpn.load")
        return _reopened, (*self._reopen, self.processor, self.provenance)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is one photo, not an iterable of them
        self,
        images: PhotoSource,
        *,
        camera: Camera | Intrinsics | None = None,
        focal: float | None = None,
        fov: float | None = None,
        uncertainty: str | None = None,
        measurements: Measurements | None = None,
        tiles: int | bool | None = None,
    ) -> Depth: ...

    @overload
    def __call__(
        self,
        images: Iterable[PhotoSource],
        *,
        camera: Camera | Intrinsics | None = None,
        focal: float | None = None,
        fov: float | None = None,
        uncertainty: str | None = None,
        measurements: Measurements | None = None,
        tiles: int | bool | None = None,
    ) -> Iterator[Depth]: ...

    def __call__(
        self,
        images: PhotoSource | Iterable[PhotoSource],
        *,
        camera: Camera | Intrinsics | None = None,
        focal: float | None = None,
        fov: float | None = None,
        uncertainty: str | None = None,
        measurements: Measurements | None = None,
        tiles: int | bool | None = None,
    ) -> Depth | Iterator[Depth]:
        """Estimate depth.

        Args:
            images: one photo (path, bytes, file object, PIL image, array, tensor), or a list or
                iterator of them, which are read and predicted one at a time.
            camera: the photo's camera, or intrinsics, which are scaled to its size.
            focal: focal length in pixels of the photo, instead of a camera.
            fov: horizontal field of view in degrees, instead of a camera. Without any of the three,
                the camera comes from EXIF or is assumed. A known focal length also scales the
                metres; see `estimate`.
            uncertainty: also predict variants of the photo, and include their disagreement in
                `sigma`. If None, `sigma` comes only from measured errors. "flip" needs one more
                run of the network (`flip_sigma`), "droppath" eight more, on torch
                (`stochastic_depths`).
            measurements: known depths and lengths in each photo; see `Depth.calibrate`. Two known
                lengths solve the focal length, so no camera may be given with them.
            tiles: number of tiles per side, for more detail in large photos; True chooses the
                number. It is limited so that no tile is enlarged for the network. The whole photo
                still determines the metres: see `tiling`.

        Returns:
            A `Depth` at the photo's own upright size, or an iterator of them.

        Raises:
            InvalidImage: a photo cannot be read; the message names it.
            UsageError: more than one of camera, focal and fov is given, the uncertainty is unknown
                or unavailable with this engine, a measurement is impossible, or tiles are invalid
                or combined with an uncertainty.
            DataError: the camera or the intrinsics belong to an image of another size.
        """
        given = sum(value is not None for value in (camera, focal, fov))
        if given > 1:
            raise UsageError("give at most one of camera, focal and fov")
        _require_type("camera", camera, (Camera, Intrinsics))
        _require_type("measurements", measurements, (Measurements,))
        if given and measurements is not None:
            options = "camera, focal and fov"
            require_open_focal("known lengths", measurements.lengths, options=options)
        require_uncertainty(uncertainty, self.engine)
        tiling.require_tiles(tiles, uncertainty)

        def estimate(image: PhotoSource) -> Depth:
            photo = read_photo(image)
            if isinstance(camera, Intrinsics):
                known: Camera | None = camera.for_size(photo.size)
            else:
                if camera is not None:
                    camera.require_plausible(photo.size)
                    camera.require_centre_inside(photo.size)
                known = camera or choose_camera(photo, focal=focal, fov=fov)
            depth = self.estimate(photo, known, uncertainty=uncertainty, tiles=tiles)
            return depth if measurements is None else depth.calibrate(measurements)

        if is_many(images):
            return map(estimate, cast("Iterable[PhotoSource]", images))
        return estimate(cast("PhotoSource", images))

    def prepare_sizes(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Prepare the engine for photos of these (height, width), the most common first.

        An engine that prepares itself for each size then does so only for these. Photos of other
        sizes take longer, but do not delay the photos predicted at the same time.
        """
        if isinstance(self.engine, PreparingEngine):
            input_size = self.processor.input_size
            inputs = [input_size(*size, max_pixels=MAX_INPUT_PIXELS) for size in sizes]
            self.engine.prepare_sizes(inputs)

    def estimate(
        self,
        photo: Photo,
        camera: Camera | None,
        *,
        uncertainty: str | None = None,
        tiles: int | bool | None = None,
    ) -> Depth:
        """Estimate the depth of one decoded photo.

        A camera with twice the focal length shows a room twice as large, as if from half the
        distance. A network trained with one camera is therefore right for another if its metres are
        multiplied by the ratio of the focal lengths (Yin et al. 2023, Metric3D, section 3.1). The
        metres are multiplied if the processor knows the network's camera and `camera` is known;
        the provenance says so. Otherwise, glpn assumes that the network's own camera took the
        photo.

        Args:
            photo: the decoded photo, already upright.
            camera: the camera that took the photo; None if unknown.
            uncertainty: see `__call__`; the depth then has a sigma.
            tiles: see `__call__`.
        """
        factor = self.focal_factor(camera, photo.size)
        if photo.whole is not None and (uncertainty is not None or tiles):
            what = "tiles need" if tiles else "uncertainty needs"
            raise UsageError(
                f"{photo.name}: {what} the photo at full resolution; call read_photo without "
                "`min_decode_size`"
            )
        metres, count = self._detailed(photo, tiles)
        sigma = self.sigma(photo.pixels, metres, uncertainty, factor=factor)
        if factor != 1:
            metres *= np.float32(factor)
        errors = None if self.errors is None else self.errors.scaled(factor)
        provenance = self._provenance(photo, factor, count, camera)
        if errors is not None:
            provenance = dataclasses.replace(
                provenance, error=round(errors.typical(metres), 3), error_data=str(errors)
            )
        return Depth(
            metres=metres,
            camera=camera or assumed_camera(photo, self.processor.focal_ratio),
            provenance=provenance,
            image=photo.pixels if photo.whole is None else None,
            sigma=sigma,
            errors=errors,
        )

    def focal_factor(self, camera: Camera | None, size: tuple[int, int]) -> float:
        """Return the factor that converts the network's metres to those of a photo's camera.

        It is 1 if the camera of the photo or that of the network is unknown.

        Args:
            camera: the camera that took the photo; None if unknown.
            size: (height, width) of the photo.
        """
        ratio = self.processor.focal_ratio
        if camera is None or ratio is None:
            return 1.0
        return camera.focal_factor(ratio, size)

    def _provenance(
        self, photo: Photo, factor: float, count: int, known: Camera | None
    ) -> Provenance:
        provenance = self.provenance.for_image(photo.name, photo.hash)
        notes = [f"detail from {count}x{count} tiles"] if count > 1 else []
        if known is None and (reason := rejected_exif(photo)):
            notes.append(reason)
        if factor != 1:
            notes.append(
                f"metres multiplied by {factor:.4g} for the focal length of the photo's camera"
            )
        reach = None if provenance.max_depth is None else provenance.max_depth * factor
        return dataclasses.replace(provenance, max_depth=reach, note="; ".join(notes))

    def _detailed(self, photo: Photo, tiles: int | bool | None) -> tuple[NDArray[np.float32], int]:
        """Return the metres, with the detail of the tiles, and the number of tiles per side."""
        metres = self.metres(photo.pixels, photo.size)
        seen = self.processor.input_size(*photo.size, max_pixels=MAX_INPUT_PIXELS)
        count = tiling.tiles_a_side(tiles, photo.size, seen)
        if count == 1:
            return metres, count
        detailed = tiling.add_detail(
            metres, photo.pixels, predict=self.metres, count=count, seen=seen
        )
        limits = (SMALLEST_DEPTH, self.engine.config.max_depth)
        return np.clip(detailed, *limits, out=detailed), count

    def metres(
        self, image: NDArray[np.uint8], size: tuple[int, int] | None = None
    ) -> NDArray[np.float32]:
        """Predict from array to array: RGB uint8 [H, W, 3] → metres float32 [H, W].

        Args:
            image: the photo's pixels.
            size: (height, width) of the full photo and of the metres, if `image` is smaller.

        Raises:
            UsageError: the image is not uint8 [H, W, 3]. `__call__` also takes other arrays.
        """
        if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3:
            raise UsageError(f"image: expected uint8 [H, W, 3], got {_described(image)}")
        pixels = self.processor.pixels(image, max_pixels=MAX_INPUT_PIXELS, size=size)  # [3, h, w]
        return self._enlarged(self.engine(pixels[None])[0], size or image.shape[:2])

    def min_decode_size(self, height: int, width: int) -> tuple[int, int]:
        """The minimum (height, width) at which `read_photo` may decode a photo of this size.

        A JPEG decoder shrinks by powers of two, with a different filter than the processor. If the
        decoded JPEG is at least MIN_DECODE_RATIO times as large as the network's input, the metres
        change by only 0.5 %.
        """
        size = self.processor.input_size(height, width, max_pixels=MAX_INPUT_PIXELS)
        down, across = (math.ceil(side * MIN_DECODE_RATIO) for side in size)
        return down, across

    def sigma(
        self,
        image: NDArray[np.uint8],
        metres: NDArray[np.float32],
        uncertainty: str | None,
        *,
        factor: float = 1.0,
    ) -> NDArray[np.float32] | None:
        """Return one standard deviation of `factor` times `metres`, in metres, [H, W].

        None if `uncertainty` is None.

        Args:
            image: RGB uint8 [H, W, 3].
            metres: the result of the method `metres` for it, not yet multiplied.
            uncertainty: see `__call__`.
            factor: multiplies the network's metres; see `focal_factor`.

        Raises:
            UsageError: the uncertainty is unknown or unavailable with this engine.
        """
        if uncertainty is None:
            return None
        require_uncertainty(uncertainty, self.engine)
        if uncertainty == "flip":
            spread = flip_sigma(image, metres, predict=self.metres)
        else:
            pixels = self.processor.pixels(image, max_pixels=MAX_INPUT_PIXELS)  # [3, h, w]
            maps = stochastic_depths(cast(StochasticEngine, self.engine), pixels)
            spread = deviation(self._enlarged(depth, image.shape[:2]) for depth in maps)
        spread *= np.float32(factor)
        if self.errors is None:
            return spread
        # Measured errors include the errors common to all predictions; the spread adds the
        # differences between them.
        errors = self.errors.scaled(factor).sigma(metres * np.float32(factor))
        return np.hypot(errors, spread, out=spread)

    def _enlarged(self, depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
        """Resize the network's output [h, w] to the photo's size, within the model's range."""
        depth = np.clip(depth, SMALLEST_DEPTH, self.engine.config.max_depth)
        return np.asarray(resize_depth(depth, size), np.float32)  # [H, W]; resizing keeps the range


def _described(image: object) -> str:
    if isinstance(image, np.ndarray):
        return f"{image.dtype} {list(image.shape)}"
    return type(image).__name__


def _require_type(name: str, value: object, types: tuple[type, ...]) -> None:
    if value is not None and not isinstance(value, types):
        expected = " or ".join(kind.__name__ for kind in types)
        raise UsageError(f"{name}: expected {expected}, got {value!r:.100}")


def _reopened(
    options: EngineOptions,
    concurrency: int,
    processor: GLPNImageProcessor,
    provenance: Provenance,
) -> DepthEstimator:
    estimator = DepthEstimator.open(options, concurrency=concurrency)
    estimator.processor, estimator.provenance = processor, provenance
    return estimator
