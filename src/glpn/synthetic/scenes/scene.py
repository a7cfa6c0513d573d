"""Scene: solids, materials, lights and one camera as dense arrays, ready to be rendered.

World axes: x and y along the floor, z up, metres. Camera axes: x right, y down, z forward.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.synthetic.furniture_models.tracer import Tracer
from glpn.synthetic.scenes.materials import Material
from glpn.synthetic.scenes.solids import Piece, Vector

FloatArray = NDArray[np.float32]

MAX_SOLIDS = 640  # per scene; sampling stops adding furniture before it exceeds this
MAX_TRIANGLES = 400_000  # limit for all meshes of a scene
MAX_LIGHTS = 3
_BEVEL = 0.012  # metres over which shading rounds an edge
GOLDEN = (0.7548777, 0.5698403, 0.3247180)  # steps of a low-discrepancy sequence, one per axis


class View(NamedTuple):
    """The position, orientation and lens of a camera.

    Attributes:
        position: position of the pinhole, in metres.
        axes: rotation [3, 3]; rows are the camera's right, down and forward in the world.
        fov: horizontal field of view in degrees, edge to edge, of the undistorted image.
        long_side: whether `fov` is across the longer side of the image, as of a phone that may be
            held upright, instead of across its width.
        distortion: k1 and k2 of the radial model r' = r (1 + k1 r² + k2 r⁴), r the tangent.
    """

    position: Vector
    axes: NDArray[np.float64]
    fov: float
    distortion: tuple[float, float] = (0.0, 0.0)
    long_side: bool = False

    def across(self, size: tuple[int, int]) -> float:
        """The horizontal field of view in degrees of an image of (height, width)."""
        height, width = size
        if not self.long_side or width >= height:
            return self.fov
        half = math.tan(math.radians(self.fov) / 2) * width / height
        return math.degrees(2 * math.atan(half))


class Light(NamedTuple):
    """A lamp, a window or the sun, with a shadow map that looks along its third axis.

    Attributes:
        position, axes: see `View`.
        colour: radiant intensity per channel.
        reach: tangent of half the shadow map's field of view.
        beyond: 1 if the space outside the map is lit, 0 if it is dark.
        falloff: 1 for the inverse square of the distance, 0 for none (the sun).
        beam: 0 shines equally in all directions, 1 with the cosine to the forward axis.
    """

    position: Vector
    axes: NDArray[np.float64]
    colour: Vector
    reach: float = 1.7
    beyond: float = 1.0
    falloff: float = 1.0
    beam: float = 0.0


class Sensor(NamedTuple):
    """Parameters from light to the stored image.

    Attributes:
        brightness: the mean that auto-exposure aims at, linear 0..1.
        balance: white balance, a factor per channel.
        contrast: slope of the tone curve at its middle; saturation: 0 grey, 1 as it is.
        vignette: darkening in the corners, 0..1.
        blur: standard deviation in pixels of a 240-row image; sharpen: strength.
        noise: grain per channel, at mid tone; grain: size of its blots, 0 fine to 1 coarse.
        quality: JPEG quality, 1..100; 0 skips JPEG.
        shift: offset into the noise, rows and columns.
    """

    brightness: float = 0.3
    balance: Vector = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    vignette: float = 0.0
    blur: float = 0.0
    sharpen: float = 0.0
    noise: float = 0.0
    grain: float = 0.0
    quality: float = 0.0
    shift: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Scene:
    """Everything that one image shows.

    Attributes:
        solids: float32 [P, 21]: centre 3, unit axes 9 (rows), half extents 3, quadric 3, texture
            origin 3.
        bevel: float32 [P], metres.
        material, instance: int64 [P]; instances count from 1.
        casts: bool [P], whether it casts a shadow.
        materials: the table that `material` points into.
        lights: up to MAX_LIGHTS.
        ambient: radiance from above, and from below, per channel.
        view, sensor: the camera.
        tracer: the meshes, or None without any.
    """

    solids: FloatArray
    bevel: FloatArray
    material: NDArray[np.int64]
    instance: NDArray[np.int64]
    casts: NDArray[np.bool_]
    materials: tuple[Material, ...]
    lights: tuple[Light, ...]
    ambient: tuple[Vector, Vector]
    view: View
    sensor: Sensor
    tracer: Tracer | None = None

    def seen(self, view: View, sensor: Sensor) -> Scene:
        """The same scene from another camera; a batch prepares the shared part once."""
        return replace(self, view=view, sensor=sensor)


def assemble(
    pieces: Sequence[Piece],
    materials: Sequence[Material],
    *,
    lights: Sequence[Light],
    ambient: tuple[Vector, Vector],
    camera: tuple[View, Sensor],
    tracer: Tracer | None = None,
) -> Scene:
    """Build a scene from pieces; each becomes one instance, numbered from 1 in order."""
    solids = [solid for piece in pieces for solid in piece.solids]
    instance = np.repeat(np.arange(1, len(pieces) + 1), [len(piece.solids) for piece in pieces])
    centre = np.array([solid.centre for solid in solids]).reshape(-1, 3)
    axes = np.array([solid.axes for solid in solids]).reshape(-1, 3, 3)
    half = np.array([solid.half for solid in solids]).reshape(-1, 3)
    quadric = np.array([solid.quadric for solid in solids]).reshape(-1, 3)
    material = np.array([solid.material for solid in solids], np.int64)
    upright = np.array([row.upright for row in materials], bool)[material]
    in_world = np.einsum("nij,nj->ni", axes, centre)
    scattered = np.arange(len(solids))[:, None] * np.array(GOLDEN) * 7 % 7
    origin = np.where(upright[:, None], in_world, scattered)
    flat = axes.reshape(-1, 9)
    return Scene(
        solids=np.concatenate([centre, flat, half, quadric, origin], 1).astype(np.float32),
        bevel=np.minimum(_BEVEL, 0.3 * half.min(1)).astype(np.float32),
        material=material,
        instance=instance.astype(np.int64),
        casts=np.array([solid.casts for solid in solids], bool),
        materials=tuple(materials),
        lights=tuple(lights[:MAX_LIGHTS]),
        ambient=ambient,
        view=camera[0],
        sensor=camera[1],
        tracer=tracer,
    )


def trace(pieces: Sequence[Piece]) -> Tracer | None:
    """The meshes of pieces in world axes; instances are numbered as by `assemble`."""
    parts = [
        (thing.mesh.placed(thing.matrix, thing.at), number, thing.tint)
        for number, piece in enumerate(pieces, 1)
        for thing in piece.things
    ]
    return Tracer(parts) if parts else None


def looking(yaw: float, pitch: float, roll: float = 0.0) -> NDArray[np.float64]:
    """Camera axes [3, 3], radians: yaw from +x towards +y, pitch up from level, roll clockwise."""
    up, flat, x, y = math.sin(pitch), math.cos(pitch), math.cos(yaw), math.sin(yaw)
    forward = np.array([flat * x, flat * y, up])
    right = np.array([y, -x, 0.0])
    down = np.array([up * x, up * y, -flat])  # forward × right
    c, s = math.cos(roll), math.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, forward])


def looking_at(position: Vector, target: Vector) -> NDArray[np.float64]:
    """Upright camera axes [3, 3] at one point that look at another."""
    x, y, z = (b - a for a, b in zip(position, target, strict=True))
    return looking(math.atan2(y, x), math.atan2(z, math.hypot(x, y)))
