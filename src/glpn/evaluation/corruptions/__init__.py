"""The fifteen common corruptions in five severities (Hendrycks and Dietterich 2019).

A new implementation from the paper's description and published constants, with numpy and Pillow.
It differs from the paper's own images on purpose:

- The constants are lengths on ImageNet's 224-pixel images. `lengths="image"` scales them by the
  image's shorter side / 224, so that the blur looks the same at any resolution. `lengths="pixels"`
  applies them unscaled, as is usual on larger images.
- *Frost* is procedural (ridged noise that grows in from the edges), because the paper's photos of
  frost cannot be shipped. Its strengths are fitted to the noise.
- So that damage rises with severity, *fog* 4 and 5 are thicker, *snow* 2 hides less, and *elastic
  transform* 1 and 2 are weak local warps (the paper's versions shift the image by up to a fifth,
  further than its 3 to 5).
- *Glass blur* gathers pixels where the paper swaps them. The *defocus* disk has a smooth rim.
- All five severities of a corruption use the same random numbers for an image.

Elastic transform and zoom blur move the image relative to its depth map, as in the paper.
JPEG compression depends on the version of libjpeg in Pillow.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError, UsageError, require_choice
from glpn.evaluation.corruptions import blur, digital, noise, weather

SEVERITIES = (1, 2, 3, 4, 5)
IMAGENET_SIDE = 224  # pixels; the published constants refer to images of this size

Pixels = NDArray[np.float32]
# The arguments are pixels [H, W, 3] in 0..1, the severity's constants, the random generator, and
# the pixels per ImageNet pixel.
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
    """One corruption at one severity. Call it with an image and its index.

    Attributes:
        name: one of `CORRUPTIONS`.
        severity: 1 (mild) to 5.
        seed: together with the name and the image's index, it fixes every random number.
        lengths: "image" or "pixels"; see the module's docstring.

    Raises:
        UsageError: a value is invalid; the message names it.
    """

    name: str
    severity: int
    seed: int = 0
    lengths: Literal["image", "pixels"] = "image"

    def __post_init__(self) -> None:
        require_choice("corruption", self.name, _EFFECTS)
        if self.severity not in SEVERITIES:
            raise UsageError(f"{self.name}: severity must be 1 to 5; got {self.severity!r}")
        if self.lengths not in ("image", "pixels"):
            raise UsageError(f"lengths: expected 'image' or 'pixels'; got {self.lengths!r}")

    def __call__(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Return a corrupted copy of `image`, RGB uint8 [H, W, 3] of any size.

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
