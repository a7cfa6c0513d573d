"""Indoor scenes: a room with its lights, seen by a hand-held camera or a robot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from glpn.synthetic.furniture_models.catalogue import Library
from glpn.synthetic.scenes import materials as mat
from glpn.synthetic.scenes.handheld import handheld_view
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.probing import Surroundings
from glpn.synthetic.scenes.rooms import Room, sample_room
from glpn.synthetic.scenes.scene import (
    MAX_LIGHTS,
    Light,
    Scene,
    Sensor,
    View,
    assemble,
    looking,
    looking_at,
    trace,
)
from glpn.synthetic.scenes.solids import BOX, CYLINDER, Piece, Vector

_KINECT_FOV = (57.0, 63.0)  # degrees, horizontal
_PHONE_FOV = (50.0, 80.0)
_CLEARANCE = 0.22  # metres of free space around the camera
_CANDIDATES = 12  # views tried per room
_INTEREST = 0.09  # weight of one more visible object against a wrong median depth
# Median depth in metres of a typical frame in homes and offices: log-normal.
_TYPICAL_DEPTH, _TYPICAL_SPREAD = 3.0, 0.48


class Cameras(str, Enum):
    """Who holds the camera: someone with a depth sensor, or anyone with a phone."""

    level = "level"
    handheld = "handheld"


def sample_indoor(
    seed: int,
    views: Sequence[int] = (0,),
    *,
    library: Library | None = None,
    cameras: Cameras = Cameras.level,
) -> list[Scene]:
    """The indoor scene of a seed, from some of its numbered views.

    With a library, most furniture is a mesh from it.
    """
    kit = Kit(np.random.default_rng((seed, 1)), library)
    room = sample_room(kit)
    lights = _light(room)
    above = kit.uniform(0.25, 1.1)
    tone = np.array(mat.warm(kit.rng, above, 0.4))
    floor = kit.materials[room.done.floor]
    bounce = (np.array(floor.dark) + np.array(floor.light)) / 2
    below = tone * (0.35 + 0.6 * bounce)
    tracer = trace(room.pieces)
    around = Surroundings(room.pieces, tracer)
    choose = handheld_view if cameras is Cameras.handheld else _view
    shots = []
    for number in views:
        hand = Kit(np.random.default_rng((seed, 1, number)))
        shots.append((choose(hand, room, around), sample_sensor(hand)))
    scene = assemble(
        room.pieces,
        kit.materials,
        lights=lights,
        ambient=(_vector(tone), _vector(below)),
        camera=shots[0],
        tracer=tracer,
    )
    return [scene.seen(view, sensor) for view, sensor in shots]


def _vector(values: NDArray[np.float64]) -> Vector:
    x, y, z = values.tolist()
    return x, y, z


def _light(room: Room) -> list[Light]:
    """Ceiling lamps, daylight from the windows, and sometimes the sun."""
    lights: list[Light] = []
    kit = room.kit
    for wall, (at, yaw) in zip(room.walls, room.places, strict=True):
        for opening in wall.openings:
            if opening.kind == "window" and len(lights) < 2 and kit.chance(0.7):
                lights.append(_daylight(kit, opening.x, opening.z, (at, yaw)))
                if kit.chance(0.2):
                    lights.append(_sun(kit, opening.x, opening.z, (at, yaw)))
    if not lights or kit.chance(0.7):
        lights[:0] = _ceiling_lamps(room)
    return lights[:MAX_LIGHTS]


def _ceiling_lamps(room: Room) -> list[Light]:
    kit, height = room.kit, room.done.height
    colour = np.array(mat.warm(kit.rng, 1.0, kit.uniform(0, 0.8)))
    power = kit.uniform(4, 14) * (room.width * room.depth / 14) ** 0.5
    lights = []
    for _ in range(kit.whole(1, 2)):
        x, y = kit.uniform(0.2, 0.8) * room.width, kit.uniform(0.2, 0.8) * room.depth
        z = height - kit.uniform(0.08, 0.5)
        down = looking_at((x, y, z), (x + 0.001, y, 0))
        lights.append(
            Light((x, y, z), down, _vector(power * colour), 2.0, beam=kit.uniform(0, 0.9))
        )
        _fixture(room, (x, y, z))
    return lights


def _fixture(room: Room, at: Vector) -> None:
    """The shape of a ceiling lamp; offices have rows of panels."""
    kit, height = room.kit, room.done.height
    x, y, z = at
    piece = Piece()
    glass = kit.like(kit.new(mat.lamp_shade), emission=kit.uniform(3, 9))
    if height - z < 0.2:
        half, deep = (0.3, 0.3) if kit.chance(0.5) else (0.08, 0.6)
        count = kit.whole(1, 3)
        for i in range(count):
            for j in range(count):
                u = x + (i - (count - 1) / 2) * 1.5
                v = y + (j - (count - 1) / 2) * 1.8
                span = (u - half, u + half), (v - deep, v + deep)
                piece.glow(glass, BOX, *span, (height - 0.03, height + 0.01))
    else:
        r = kit.uniform(0.1, 0.25)
        piece.glow(glass, (0.8, 0.8, 0.8), (x - r, x + r), (y - r, y + r), (z - 0.1, z + 0.1))
        piece.glow(
            kit.shared(mat.metal), CYLINDER, (x - 0.01, x + 0.01), (y - 0.01, y + 0.01), (z, height)
        )
    room.put(piece, (0, 0, 0))


Span = tuple[float, float]


def _out_of_wall(place: tuple[Vector, float], x: float, y: float, z: float) -> Vector:
    (ax, ay, _), yaw = place
    c, s = math.cos(yaw), math.sin(yaw)
    return ax + c * x - s * y, ay + s * x + c * y, z


def _daylight(kit: Kit, x: Span, z: Span, place: tuple[Vector, float]) -> Light:
    """A window as a light in its opening that shines inwards."""
    area = (x[1] - x[0]) * (z[1] - z[0])
    middle, height = sum(x) / 2, sum(z) / 2
    position = _out_of_wall(place, middle, -0.02, height)
    target = _out_of_wall(place, middle, 2.0, height - 0.6)
    colour = np.array((0.85, 0.95, 1.1)) * kit.uniform(3, 9) * area
    return Light(position, looking_at(position, target), _vector(colour), 1.9, 0.3, beam=1.0)


def _sun(kit: Kit, x: Span, z: Span, place: tuple[Vector, float]) -> Light:
    """Sunlight through one window: a distant light whose map covers only the window."""
    middle = _out_of_wall(place, sum(x) / 2, 0.0, sum(z) / 2)
    side, rise = kit.uniform(-12, 12), kit.uniform(5, 18)
    position = _out_of_wall(place, sum(x) / 2 + side, -15.0, rise)
    far = math.dist(position, middle)
    half = 0.55 * math.hypot(x[1] - x[0], z[1] - z[0])
    strength = _vector(np.array((1.0, 0.93, 0.8)) * kit.uniform(5, 14))
    axes = looking_at(position, middle)
    return Light(position, axes, strength, half / far, beyond=0.0, falloff=0.0)


def _view(kit: Kit, room: Room, around: Surroundings) -> View:
    """The best of several random views: unobstructed, with a median depth as in real frames."""
    fov = kit.uniform(*(_KINECT_FOV if kit.chance(0.6) else _PHONE_FOV))
    wanted = _TYPICAL_DEPTH * math.exp(_TYPICAL_SPREAD * kit.rng.standard_normal())
    views = [_random_view(kit, room, fov) for _ in range(_CANDIDATES)]
    depth, seen = around.probe(views)
    crowded = around.crowded(views, _CLEARANCE)
    if crowded.all():  # no free place in the room: look down from under the ceiling
        at = (room.width / 2, room.depth / 2, room.done.height - 0.25)
        return View(at, looking(kit.uniform(0, 2 * math.pi), -0.4), fov)
    sorted_seen = np.sort(seen, 1)
    things = (np.diff(sorted_seen, axis=1) > 0).sum(1)
    blocked = np.maximum((depth < 0.9).mean(1) - 0.08, 0)
    cost = np.abs(np.log(np.median(depth, 1) / wanted)) + 3 * blocked - _INTEREST * things
    return views[int(np.argmin(np.where(crowded, np.inf, cost)))]


def _random_view(kit: Kit, room: Room, fov: float) -> View:
    """Hand-held at 1.0 to 1.75 m, slightly downwards, or on a robot at 0.3 to 1 m, level."""
    x, y = kit.uniform(0.3, room.width - 0.3), kit.uniform(0.3, room.depth - 0.3)
    if kit.chance(0.85):
        z, pitch = kit.uniform(1.0, 1.75), -0.2 + 0.17 * kit.rng.standard_normal()
    else:
        z, pitch = kit.uniform(0.3, 1.0), -0.02 + 0.1 * kit.rng.standard_normal()
    target = (kit.uniform(0, 1) * room.width, kit.uniform(0, 1) * room.depth)
    yaw = math.atan2(target[1] - y, target[0] - x) + 0.3 * kit.rng.standard_normal()
    roll = 0.035 * kit.rng.standard_normal()
    distortion = (0.0, 0.0)
    if kit.chance(0.3):
        distortion = (kit.uniform(-0.04, 0.04), kit.uniform(-0.01, 0.01))
    return View((x, y, min(z, room.done.height - 0.3)), looking(yaw, pitch, roll), fov, distortion)


def sample_sensor(kit: Kit) -> Sensor:
    """Random parameters of the cameras of phones and depth sensors."""
    rng = kit.rng
    warmth = 0.1 * rng.standard_normal()
    return Sensor(
        brightness=float(np.clip(0.12 * math.exp(0.6 * rng.standard_normal()), 0.02, 0.5)),
        balance=(
            1.08 * math.exp(warmth),
            math.exp(0.03 * rng.standard_normal()),
            math.exp(-warmth),
        ),
        contrast=kit.uniform(1.15, 1.8),
        saturation=kit.uniform(0.8, 1.5),
        vignette=kit.uniform(0, 0.35),
        blur=kit.uniform(0.4, 0.75),
        sharpen=kit.uniform(0, 2.0),
        noise=float(0.02 * rng.random() ** 2 + 0.002),
        grain=kit.uniform(0, 0.7),
        quality=0.0 if kit.chance(0.3) else kit.uniform(60, 96),
        shift=(kit.whole(0, 511), kit.whole(0, 511)),
    )
