"""GLPNImageProcessor: photos → pixel_values, and depth back to the photos' sizes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.errors import ConfigError, UsageError
from glpn.native import shrink
from glpn.processing.batching import PixelBatch, as_depth, as_list, gather, split_depths
from glpn.processing.images import CHANNELS_LAST, Levels, read_levels
from glpn.processing.options import PROCESSOR_NAME as PROCESSOR_NAME
from glpn.processing.options import GLPNImageProcessorKwargs, ProcessorOptions
from glpn.processing.resize import nearest, resize_depth

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class GLPNImageProcessor(ProcessorOptions):
    """Turns photos into the network's input, and resizes its depth to the photos' sizes.

    The keyword arguments are the fields of `ProcessorOptions`. They can also be set later, and
    each assignment is validated.
    """

    model_input_names = ("pixel_values",)
    valid_kwargs = GLPNImageProcessorKwargs

    def __call__(
        self, images: object, return_tensors: str | None = None, **overrides: object
    ) -> PixelBatch:
        """The same as `preprocess`."""
        return self.preprocess(images, return_tensors, **overrides)

    def preprocess(
        self, images: object, return_tensors: str | None = None, **overrides: object
    ) -> PixelBatch:
        """Turn photos into `{"pixel_values": ...}`, float32.

        Args:
            images: one photo or a list of them, of any kind that `read_levels` takes; lists may be
                nested; an array or tensor with a fourth axis in front is a list.
            return_tensors: "pt" gives a torch tensor [B, 3, h, w], "np" an array, None a list of
                arrays [3, h, w], each at its own size.
            **overrides: fields of the processor, for this call, and `device` for "pt".

        Raises:
            InvalidImage: a photo cannot be read; the message names it.
            UsageError: an option is unknown; or the photos have different sizes after scaling, so
                that one tensor ("pt" or "np") cannot hold them. The message names the sizes.
            ConfigError: an override is impossible.
        """
        device = overrides.pop("device", None)
        chosen = self.with_options(overrides)
        rgb, layout = chosen.do_convert_rgb is not False, chosen.input_data_format
        pixels = [
            chosen._prepared(read_levels(image, layout=layout, rgb=rgb))
            for image in as_list(images, single_ndim=3)
        ]
        empty = (3, chosen.size_divisor, chosen.size_divisor)
        batch = PixelBatch(pixel_values=gather(pixels, return_tensors, empty=empty))
        return batch if device is None or str(device) == "cpu" else batch.to(device)

    def _prepared(self, levels: Levels) -> NDArray[np.float32]:
        """One image as the network's input, in the layout of `data_format`."""
        if levels.unit is not None and not self.do_resize:
            pixels = self._exact(levels.unit)
        elif levels.unit is not None and not self.do_rescale:
            unit = self.with_options({"do_rescale": True, "rescale_factor": 1 / 255})
            pixels = unit.pixels(levels.image)
        else:
            pixels = self.pixels(levels.image)
        return pixels.transpose(1, 2, 0) if self.data_format == CHANNELS_LAST else pixels

    def _exact(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """A float image [H, W, C] in 0..1 at its own size, without rounding to levels."""
        scale = 255 * self.rescale_factor if self.do_rescale else 1.0
        pixels = unit.transpose(2, 0, 1) * np.float32(scale)  # [C, H, W]
        if self.do_normalize:
            mean, std = self.statistics(len(pixels))
            pixels = (pixels - mean[:, None, None]) / std[:, None, None]
        return np.ascontiguousarray(pixels, np.float32)

    def preprocess_depth(
        self, depth_maps: object, return_tensors: str | None = "np", **overrides: object
    ) -> Any:
        """Resize depth maps to float32 [B, h, w] at the input size of their photos.

        Args:
            depth_maps: metres, float [H, W], one or a list; [B, H, W] is a list. A value that is
                not finite or not above 0 is unknown.
            return_tensors: see `preprocess`.
            **overrides: fields of the processor, for this call.

        Returns:
            The maps sampled at the nearest pixel, so no two depths are mixed; unknown is 0.

        Raises:
            DataError: a map is not a two-dimensional array of floats.
            UsageError: as in `preprocess`.
        """
        chosen = self.with_options(overrides)
        maps = [
            nearest(depth, chosen.input_size(*depth.shape))
            for depth in map(as_depth, as_list(depth_maps, single_ndim=2))
        ]
        return gather(maps, return_tensors, empty=(chosen.size_divisor, chosen.size_divisor))

    def input_size(
        self, height: int, width: int, *, max_pixels: int | None = None
    ) -> tuple[int, int]:
        """The network's input size for a photo of this size.

        Sides are rounded down to the divisor after scaling. The limit on pixels (`max_pixels`
        here and in the processor, whichever is lower) holds for the most extreme shapes too:
        where the shorter side cannot shrink any further, the longer one does.

        Without `do_resize`, the photo keeps its size, unless it exceeds the limit of this call,
        which protects the memory.
        """
        own_limit = self.max_pixels if self.do_resize else None
        limits = [limit for limit in (max_pixels, own_limit) if limit is not None]
        if not self.do_resize and not (limits and height * width > min(limits)):
            return height, width
        divisor = self.size_divisor
        if self.do_resize and self.short_side is not None:
            scale = self.short_side / min(height, width)
            height, width = round(height * scale), round(width * scale)
        if limits and height * width > min(limits):
            scale = math.sqrt(min(limits) / (height * width))
            height, width = int(height * scale), int(width * scale)
        height, width = (max(side // divisor, 1) * divisor for side in (height, width))
        if limits and height * width > min(limits):
            longest = max(min(limits) // divisor**2, 1) * divisor
            height, width = min(height, longest), min(width, longest)
        return height, width

    def pixels(
        self,
        image: NDArray[np.uint8],
        *,
        max_pixels: int | None = None,
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.float32]:
        """Map one RGB image, uint8 [H, W, 3], to the network's input, float32 [3, h, w].

        Args:
            image: RGB uint8 [H, W, 3], as in `Photo.pixels`.
            max_pixels: a limit for this call; see `input_size`.
            size: (height, width) of the full photo, if `image` is a smaller version of it.

        Raises:
            UsageError: the image has another type or another number of axes.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape:
            raise UsageError(
                f"image: expected uint8 [H, W, 3], got {image.dtype} {list(image.shape)}"
            )
        height, width = self.input_size(*(size or image.shape[:2]), max_pixels=max_pixels)
        if image.shape[:2] != (height, width):
            bilinear = self.resample == Image.Resampling.BILINEAR and image.shape[2] == 3
            if bilinear and shrink.supports(image, (height, width)):
                return shrink.network_input(image, (height, width), self._level_values())
            picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
            resized = picture.resize((width, height), Image.Resampling(self.resample))
            image = np.asarray(resized).reshape(height, width, image.shape[2])
        pixels = np.empty((image.shape[2], height, width), np.float32)
        for channel, values in enumerate(self._level_values(image.shape[2])):
            np.take(values, image[:, :, channel], out=pixels[channel])
        return pixels

    def _level_values(self, channels: int = 3) -> NDArray[np.float32]:
        """The value of each of the 256 levels, per channel: [channels, 256]."""
        levels = np.arange(256, dtype=np.float64)
        if self.do_rescale:
            levels *= self.rescale_factor
        values = np.tile(levels.astype(np.float32), (channels, 1))
        if self.do_normalize:
            mean, std = self.statistics(channels)
            values = (values - mean[:, None]) / std[:, None]
        return values

    def statistics(self, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each channel.

        Raises:
            ConfigError: the image has another number of channels than the values.
        """
        both = []
        for key, default in (("image_mean", IMAGENET_MEAN), ("image_std", IMAGENET_STD)):
            values = getattr(self, key) or default
            if len(values) == 1:
                values = values * channels
            if len(values) != channels:
                raise ConfigError(f"{key}: expected {channels} values, got {len(values)}")
            both.append(np.array(values, np.float32))
        return both[0], both[1]

    def post_process_depth_estimation(
        self, outputs: object, target_sizes: object = None
    ) -> list[dict[str, Any]]:
        """Split a batch of predictions, each resized to its photo.

        Args:
            outputs: a record or mapping with `predicted_depth` [B, h, w], tensor or array.
            target_sizes: (height, width) for each prediction, or None to keep its size; a list, an
                array or a tensor. None keeps the size of all.

        Returns:
            `{"predicted_depth": [H, W]}` for each prediction, an array or tensor like the input.

        Raises:
            UsageError: the number of sizes differs from that of predictions, or one is impossible.
        """
        return [
            {"predicted_depth": depth if size is None else resize_depth(depth, size)}
            for depth, size in split_depths(outputs, target_sizes)
        ]


class GLPNFeatureExtractor(GLPNImageProcessor):
    """The older name of GLPNImageProcessor."""
