"""The fifteen common corruptions in five severities (Hendrycks and Dietterich 2019).

Written anew from the paper's description and its published constants, with numpy and Pillow alone.
What differs from the paper's own images, on purpose:

- The constants are lengths on ImageNet's 224-pixel images. `lengths="image"` scales them by the
  image's shorter side / 224, so that a photograph is blurred alike at any resolution;
  `lengths="pixels"` applies them as they stand, as is usual on larger images.
- *Frost* is drawn (ridged noise growing in from the edges), as the photographs cannot be shipped;
  its strengths are fitted to that.
- So that damage rises with severity, *fog* 4 and 5 are thicker, *snow* 2 hides less, and *elastic
  transform* 1 and 2 are weak local warps (the paper's shift the image by up to a fifth, further
  than its 3 to 5).
- Glass blur gathers pixels where the paper swaps them; the defocus disk is smoothed at its rim.
- An image meets the same random numbers in all five severities of a corruption.

Elastic transform and zoom blur move the image against its depth map, in the paper as here.
JPEG depends on the version of libjpeg that Pillow brings.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError, UsageError
from glpn.evaluation.corruptions import blur, digital, noise, weather

SEVERITIES = (1, 2, 3, 4, 5)
IMAGENET_SIDE = 224  # pixels; what the published constants are measured on

Pixels = NDArray[np.float32]
# (pixels [H, W, 3] in 0..1, the severity's constants, random state, pixels per ImageNet pixel)
Effect = Callable[[Pixels, Any, np.random.Generator, float], Pixels]

_EFFECTS: Mapping[str, tuple[str, Effect, tuple[Any, ...]]] = {
    "gaussian_noise": ("noise", noise.gaussian, noise.GAUSSIAN),
    "shot_noise": ("noise", noise.shot, noise.SHOT),
    "impulse_noise": ("noise", noise.impulse, noise.IMPULSE),
    "defocus_blur": ("blur", blur.defocus, blur.DEFOCUS),
    "glass_blur": ("blur", blur.glass, blur.GLASS),
    "motion_blur": ("blur", blur.motion, blur.MOTION),
    "zoom_blur": ("blur", blur.zoom, blur.ZOOM),
    "snow": ("weather", weather.snow, weather.SNOW),
    "frost": ("weather", weather.frost, weather.FROST),
    "fog": ("weather", weather.fog, weather.FOG),
    "brightness": ("weather", weather.brightness, weather.BRIGHTNESS),
    "contrast": ("digital", digital.contrast, digital.CONTRAST),
    "elastic_transform": ("digital", digital.elastic, digital.ELASTIC),
    "pixelate": ("digital", digital.pixelate, digital.PIXELATE),
    "jpeg_compression": ("digital", digital.jpeg, digital.JPEG),
}

CORRUPTIONS: tuple[str, ...] = tuple(_EFFECTS)
FAMILIES: Mapping[str, str] = {name: family for name, (family, _, _) in _EFFECTS.items()}


@dataclass(frozen=True)
class Corruption:
    """One corruption at one severity; calling it with an image and its index spoils the image.

    Attributes:
        name: one of `CORRUPTIONS`.
        severity: 1 (mild) to 5.
        seed: with the image's index and the name it fixes every random number.
        lengths: "image" or "pixels"; see the module's docstring.

    Raises:
        UsageError: a value is impossible; the message names it.
    """

    name: str
    severity: int
    seed: int = 0
    lengths: Literal["image", "pixels"] = "image"

    def __post_init__(self) -> None:
        if self.name not in _EFFECTS:
            known = ", ".join(_EFFECTS)
            raise UsageError(f"corruption: expected one of {known}; got {self.name!r}")
        if self.severity not in SEVERITIES:
            raise UsageError(f"{self.name}: severity must be 1 to 5; got {self.severity!r}")
        if self.lengths not in ("image", "pixels"):
            raise UsageError(f"lengths: expected 'image' or 'pixels'; got {self.lengths!r}")

    def __call__(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """The corrupted copy of `image`, RGB uint8 [H, W, 3] of any size.

        Raises:
            DataError: the image is not uint8 [H, W, 3].
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise DataError(
                f"{self.name}: expected an image uint8 [H, W, 3]; got {image.dtype} {image.shape}"
            )
        _, effect, constants = _EFFECTS[self.name]
        unit = min(image.shape[:2]) / IMAGENET_SIDE if self.lengths == "image" else 1.0
        rng = np.random.default_rng((self.seed, index, zlib.crc32(self.name.encode())))
        pixels = image.astype(np.float32)
        pixels /= 255
        return noise.to_uint8(effect(pixels, constants[self.severity - 1], rng, unit))
