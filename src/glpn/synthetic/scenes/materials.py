"""Materials of surfaces (paint, cloth, wood, brick), drawn from plausible ranges.

Colours are linear reflectances. Every function takes the scene's random generator and gives one
`Material`; its texture's value per channel runs from colour `dark` to colour `light`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypedDict, TypeVar

import numpy as np

from glpn.synthetic.scenes.textures import KINDS, texture_index

Colour = tuple[float, float, float]
Value = TypeVar("Value")
BLACK: Colour = (0.0, 0.0, 0.0)
WHITE: Colour = (1.0, 1.0, 1.0)


class Material(NamedTuple):
    """One row of a scene's material table.

    Attributes:
        texture: index into the bank.
        scale: metres that one texture covers; 0 fits it to the face.
        dark, light: linear reflectance where the texture is 0 and 1.
        relief: strength of the noise laid over the colour.
        relief_scale: metres that one tile of that noise covers.
        bump: how far the same noise tilts the surface.
        specular: strength of highlights; gloss: 0 broad to 1 sharp.
        emission: radiance as a multiple of the colour, for lamps, screens and windows.
        upright: 1 where the texture follows the room (brick, tile), 0 along the longer side.
    """

    texture: int = 0
    scale: float = 1.0
    dark: Colour = BLACK
    light: Colour = WHITE
    relief: float = 0.04
    relief_scale: float = 1.0
    bump: float = 0.0
    specular: float = 0.02
    gloss: float = 0.3
    emission: float = 0.0
    upright: int = 0


class Shades(TypedDict):
    """The two colours between which a texture runs."""

    dark: Colour
    light: Colour


def shades(colour: Colour, contrast: float) -> Shades:
    """`dark` and `light` around a colour: their mean is the colour."""
    r, g, b = colour
    low, high = 1 - contrast, 1 + contrast
    return {"dark": (r * low, g * low, b * low), "light": (r * high, g * high, b * high)}


def tint(rng: np.random.Generator, brightness: float, saturation: float) -> Colour:
    """A colour of any hue, linear."""
    hue = rng.random(3).tolist()
    most = max(*hue, 1e-3)
    r, g, b = (brightness * (1 - saturation * (1 - value / most)) for value in hue)
    return r, g, b


def warm(rng: np.random.Generator, brightness: float, spread: float) -> Colour:
    """A colour between white and yellowish brown: red the strongest channel, blue the weakest."""
    depth = spread * rng.random()
    return brightness, brightness * (1 - 0.5 * depth), brightness * (1 - 0.95 * depth)


def _texture(rng: np.random.Generator, *kinds: str) -> int:
    kind = _one_of(rng, kinds)
    return texture_index(kind, int(rng.integers(KINDS[kind])))


def _one_of(rng: np.random.Generator, values: Sequence[Value]) -> Value:
    return values[int(rng.random() * len(values))]  # Generator.choice takes ten times as long


def paint(rng: np.random.Generator) -> Material:
    """Wall paint: usually pale, sometimes a strong colour."""
    style = rng.random()
    if style < 0.7:
        colour = warm(rng, rng.uniform(0.35, 0.85), 0.5)
    elif style < 0.93:
        colour = tint(rng, rng.uniform(0.25, 0.75), rng.uniform(0.03, 0.2))
    else:
        colour = tint(rng, rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.6))
    return Material(
        _texture(rng, "cloud"),
        scale=rng.uniform(1.5, 4),
        **shades(colour, rng.uniform(0.0, 0.06)),
        relief=rng.uniform(0.005, 0.05),
        relief_scale=_one_of(rng, (0.15, 0.6, 2.5)),
        bump=_one_of(rng, (0.0, 0.01, 0.04)),
        specular=rng.uniform(0, 0.03),
    )


def wall(rng: np.random.Generator) -> Material:
    """The surface of a wall: usually paint, rarely brick, wallpaper, tile or panelling."""
    style = rng.random()
    if style < 0.8:
        return paint(rng)
    if style < 0.86:
        colour = warm(rng, rng.uniform(0.15, 0.5), 1.2)
        pattern = Material(_texture(rng, "brick"), rng.uniform(0.8, 1.1), **shades(colour, 0.6))
        return pattern._replace(relief=0.1, relief_scale=0.3, bump=0.1, upright=1)
    if style < 0.92:
        return wall_tile(rng)
    if style < 0.96:
        return wood(rng)
    colour = warm(rng, rng.uniform(0.4, 0.8), 0.6)
    return Material(
        _texture(rng, "stripe", "floral"), rng.uniform(0.3, 1), **shades(colour, 0.2), upright=1
    )


def ceiling(rng: np.random.Generator) -> Material:
    """White paint, or acoustic tiles."""
    colour = warm(rng, rng.uniform(0.6, 0.88), 0.2)
    if rng.random() < 0.2:
        tiles = Material(texture_index("tile", 0), 1.2, **shades(colour, 0.1), upright=1)
        return tiles._replace(relief=0.06, relief_scale=0.15)
    return Material(light=colour, dark=colour, relief=0.02, relief_scale=1.5)


def wood(rng: np.random.Generator) -> Material:
    """Planed wood, from birch to wenge."""
    brightness = float(np.exp(rng.uniform(np.log(0.03), np.log(0.55))))
    red = rng.uniform(0.35, 0.9)
    colour = (brightness, brightness * (1 - 0.55 * red), brightness * (1 - 0.85 * red))
    return Material(
        _texture(rng, "wood"),
        scale=rng.uniform(0.5, 1.6),
        **shades(colour, rng.uniform(0.25, 0.9)),
        relief=0.05,
        relief_scale=rng.uniform(0.3, 1.0),
        specular=rng.uniform(0.02, 0.12),
        gloss=rng.uniform(0.2, 0.7),
    )


def parquet(rng: np.random.Generator) -> Material:
    """A floor of boards."""
    base = wood(rng)
    return base._replace(
        texture=_texture(rng, "plank"), scale=rng.uniform(0.7, 1.5), gloss=rng.uniform(0.4, 0.8)
    )


def floor_tile(rng: np.random.Generator) -> Material:
    """Ceramic or stone tiles."""
    colour = warm(rng, float(np.exp(rng.uniform(np.log(0.08), np.log(0.7)))), 0.7)
    return Material(
        _texture(rng, "tile"),
        scale=rng.uniform(0.8, 1.6),
        **shades(colour, rng.uniform(0.2, 0.6)),
        relief=rng.uniform(0.02, 0.12),
        relief_scale=rng.uniform(0.4, 1.5),
        specular=rng.uniform(0.04, 0.15),
        gloss=rng.uniform(0.5, 0.9),
        upright=1,
    )


def wall_tile(rng: np.random.Generator) -> Material:
    """Small glazed tiles of kitchens and bathrooms."""
    return floor_tile(rng)._replace(scale=rng.uniform(0.3, 0.9), specular=0.08, gloss=0.8)


def carpet(rng: np.random.Generator) -> Material:
    """Fitted carpet."""
    colour = warm(rng, rng.uniform(0.08, 0.5), 0.7)
    if rng.random() < 0.3:
        colour = tint(rng, rng.uniform(0.05, 0.35), rng.uniform(0.3, 0.8))
    return Material(
        _texture(rng, "carpet"),
        scale=rng.uniform(0.4, 1.0),
        **shades(colour, rng.uniform(0.3, 0.9)),
        relief=rng.uniform(0.01, 0.08),
        relief_scale=rng.uniform(0.2, 2),
        bump=0.1,
        specular=0.0,
    )


def floor(rng: np.random.Generator) -> Material:
    """Boards, tiles, carpet or lino."""
    style = rng.random()
    if style < 0.45:
        return parquet(rng)
    if style < 0.65:
        return floor_tile(rng)
    if style < 0.92:
        return carpet(rng)
    return stone(rng)


def stone(rng: np.random.Generator) -> Material:
    """A polished slab, for worktops and floors."""
    colour = warm(rng, float(np.exp(rng.uniform(np.log(0.02), np.log(0.6)))), 0.6)
    return Material(
        _texture(rng, "stone"),
        scale=rng.uniform(0.3, 0.8),
        **shades(colour, rng.uniform(0.2, 0.9)),
        relief=0.05,
        specular=rng.uniform(0.05, 0.15),
        gloss=rng.uniform(0.5, 0.95),
    )


def fabric(rng: np.random.Generator) -> Material:
    """Cloth for sofas, beds and curtains: plain, striped or printed."""
    style = rng.random()
    brightness = float(np.exp(rng.uniform(np.log(0.03), np.log(0.75))))
    colour = tint(rng, brightness, rng.beta(1, 2.5))
    if style < 0.6:
        cloth = Material(_texture(rng, "weave", "carpet", "cloud"), 0.3, **shades(colour, 0.25))
    elif style < 0.8:
        cloth = Material(_texture(rng, "stripe"), rng.uniform(0.3, 0.9), **shades(colour, 0.7))
    else:
        light = warm(rng, 0.75, 0.4)
        cloth = Material(_texture(rng, "floral"), rng.uniform(0.4, 1.2), (0.02, 0.02, 0.02), light)
    folds = rng.uniform(0.5, 1.5)
    return cloth._replace(relief=0.1, relief_scale=folds, bump=rng.uniform(0.05, 0.3), specular=0.0)


def leather(rng: np.random.Generator) -> Material:
    """Leather: dark and slightly glossy."""
    colour = warm(rng, float(np.exp(rng.uniform(np.log(0.015), np.log(0.3)))), 1.0)
    hide = Material(_texture(rng, "speckle"), 0.25, **shades(colour, 0.15))
    return hide._replace(specular=0.08, gloss=0.45, bump=0.1, relief_scale=0.7)


def lacquer(rng: np.random.Generator) -> Material:
    """Painted furniture and white goods."""
    if rng.random() < 0.6:
        colour = warm(rng, rng.uniform(0.4, 0.85), 0.3)
    else:
        colour = tint(rng, rng.uniform(0.02, 0.5), rng.uniform(0, 0.7))
    return Material(
        dark=colour, light=colour, relief=0.02, specular=rng.uniform(0.03, 0.1), gloss=0.6
    )


def plastic(rng: np.random.Generator) -> Material:
    """Plastic of any colour: toys, packets, appliances."""
    bright = float(np.exp(rng.uniform(np.log(0.02), np.log(0.85))))
    colour = tint(rng, bright, rng.beta(1.2, 1.2))
    return Material(
        dark=colour, light=colour, relief=0.03, specular=rng.uniform(0.03, 0.1), gloss=0.5
    )


def printed(rng: np.random.Generator) -> Material:
    """A packet or a book's cover."""
    picture = Material(_texture(rng, "poster", "text", "stripe"), 0.0)
    return picture._replace(dark=tint(rng, 0.15, 0.8), light=tint(rng, 0.85, 0.4), upright=1)


def metal(rng: np.random.Generator) -> Material:
    """Steel, chrome, brass or black iron."""
    brightness = 0.03 if rng.random() < 0.3 else rng.uniform(0.2, 0.5)
    colour = warm(rng, brightness, 0.4)
    brushed = Material(_texture(rng, "wood"), 0.5, **shades(colour, 0.12), relief=0.05)
    return brushed._replace(specular=rng.uniform(0.06, 0.2), gloss=rng.uniform(0.5, 0.9))


def dark_plastic(rng: np.random.Generator) -> Material:
    """Screens that are off, television sets, office chairs."""
    grey = rng.uniform(0.01, 0.05)
    return Material(dark=(grey,) * 3, light=(grey,) * 3, specular=0.08, gloss=rng.uniform(0.3, 0.9))


def paper(rng: np.random.Generator) -> Material:
    """A page of text."""
    return Material(_texture(rng, "text"), 0.0, (0.08, 0.08, 0.08), warm(rng, 0.85, 0.2), upright=1)


def poster(rng: np.random.Generator) -> Material:
    """A picture that fills its face."""
    return Material(
        _texture(rng, "poster"), 0.0, (0.01, 0.01, 0.01), warm(rng, 0.8, 0.4), upright=1
    )


def rug(rng: np.random.Generator) -> Material:
    """A patterned or plain rug that fills its face."""
    texture = _texture(rng, "rug", "rug", "stripe", "floral", "carpet")
    light = warm(rng, rng.uniform(0.3, 0.7), 0.7)
    return Material(texture, 0.0, (0.02, 0.02, 0.02), light, relief=0.15, specular=0.0)


def screen(rng: np.random.Generator) -> Material:
    """A monitor that is on."""
    light = Material(_texture(rng, "screen"), 0.0, (0.02, 0.02, 0.03), (0.8, 0.85, 0.95), upright=1)
    return light._replace(emission=rng.uniform(0.3, 1.2), relief=0.0)


def window_pane(rng: np.random.Generator) -> Material:
    """The bright outdoors as a texture in the plane of the glass, or the glow of a closed blind."""
    if rng.random() < 0.4:
        glow = Material(_texture(rng, "cloud"), 0.0, **shades(warm(rng, 0.8, 0.2), 0.1))
    else:
        glow = Material(_texture(rng, "outdoor"), 0.0, (0.01, 0.02, 0.03), (0.9, 0.95, 1.0))
    return glow._replace(emission=rng.uniform(0.6, 6), relief=0.0, upright=1)


def lamp_shade(rng: np.random.Generator) -> Material:
    """Glowing cloth or glass."""
    glow = Material(dark=warm(rng, 0.9, 0.6), light=warm(rng, 0.9, 0.6), relief=0.02)
    return glow._replace(emission=_one_of(rng, (0.0, 2.0, 5.0)))


def leaf(rng: np.random.Generator) -> Material:
    """Foliage."""
    g = rng.uniform(0.08, 0.3)
    colour = (g * rng.uniform(0.3, 0.8), g, g * rng.uniform(0.1, 0.5))
    return Material(_texture(rng, "leaf"), 0.2, **shades(colour, 0.6), bump=0.4, relief_scale=0.3)


def skin(rng: np.random.Generator) -> Material:
    """Human skin, any tone."""
    tone = float(np.exp(rng.uniform(np.log(0.06), np.log(0.5))))
    return Material(dark=(tone, tone * 0.65, tone * 0.5), light=(tone, tone * 0.65, tone * 0.5))
