"""Hand-held cameras: phones and cameras as people hold them, close-ups included."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.probing import Surroundings
from glpn.synthetic.scenes.rooms import Room
from glpn.synthetic.scenes.scene import View, looking

_FOVS = ((35.0, 52.0), (52.0, 75.0), (75.0, 110.0))  # degrees: long lenses, usual ones, wide ones
_HEIGHTS = (0.2, 2.2)  # metres above the floor
_STEEPEST = math.radians(45)
_NEAREST = 0.25  # metres from the camera to anything in view
_CLOSE_UPS = 0.2  # share of the frames
_CANDIDATES = 14
# Median depths in metres: log-normal.
_TYPICAL_DEPTH, _TYPICAL_SPREAD = 2.4, 0.5
_CLOSE = (0.35, 1.1)
_INTEREST = 0.06  # weight of one more visible object against a wrong median depth


def handheld_view(kit: Kit, room: Room, around: Surroundings) -> View:
    """A view as people photograph rooms; `fov` is across the longer side of the picture."""
    fov = kit.uniform(*_FOVS[int(np.searchsorted((0.2, 0.7), kit.rng.random()))])
    close = kit.chance(_CLOSE_UPS)
    wanted = _TYPICAL_DEPTH * math.exp(_TYPICAL_SPREAD * kit.rng.standard_normal())
    if close:
        wanted = kit.uniform(*_CLOSE)
    views = [_candidate(kit, room, around, fov=fov, close=close) for _ in range(_CANDIDATES)]
    depth, seen = around.probe(views)
    clear = around.clearance(views)
    cost = np.abs(np.log(np.median(depth, 1) / wanted))
    cost += 4 * (depth < _NEAREST).mean(1)
    if not close:
        things = (np.diff(np.sort(seen, 1), axis=1) > 0).sum(1)
        cost += 2 * np.maximum((depth < 0.6).mean(1) - 0.12, 0) - _INTEREST * np.minimum(things, 12)
    return views[int(np.argmin(cost + 10 * (clear < 0.9 * _NEAREST)))]


def _candidate(kit: Kit, room: Room, around: Surroundings, *, fov: float, close: bool) -> View:
    roll = 0.06 * kit.rng.standard_normal()
    if close and len(around.objects):
        return _towards(kit, room, _spot(kit, around), fov=fov, roll=roll)
    x, y = kit.uniform(0.15, room.width - 0.15), kit.uniform(0.15, room.depth - 0.15)
    low, high = _HEIGHTS
    z = kit.uniform(low, high) if kit.chance(0.4) else 1.45 + 0.2 * kit.rng.standard_normal()
    z = min(max(z, low), high, room.done.height - 0.2)
    target = (kit.uniform(0, 1) * room.width, kit.uniform(0, 1) * room.depth)
    yaw = math.atan2(target[1] - y, target[0] - x) + 0.3 * kit.rng.standard_normal()
    # Cameras above the eyes' height look down, cameras near the floor look level or up.
    pitch = -0.12 - 0.2 * (z - 1.0) + 0.24 * kit.rng.standard_normal()
    return View((x, y, z), looking(yaw, _limited(pitch), roll), fov, long_side=True)


def _spot(kit: Kit, around: Surroundings) -> NDArray[np.float64]:
    """A point on an object of the room."""
    low, high = around.objects[kit.whole(0, len(around.objects) - 1)]
    spot = low + (high - low) * kit.rng.uniform(0.2, 1.0, 3)
    return np.asarray(spot, np.float64)


def _towards(kit: Kit, room: Room, spot: NDArray[np.float64], *, fov: float, roll: float) -> View:
    """A close-up of a spot, from within the room."""
    distance = kit.uniform(0.3, 1.4)
    yaw, pitch = kit.uniform(0, 2 * math.pi), _limited(-0.35 + 0.3 * kit.rng.standard_normal())
    axes = looking(yaw, pitch, roll)
    x, y, z = (spot - distance * axes[2]).tolist()
    x, y = min(max(x, 0.1), room.width - 0.1), min(max(y, 0.1), room.depth - 0.1)
    return View((x, y, min(max(z, 0.2), room.done.height - 0.2)), axes, fov, long_side=True)


def _limited(pitch: float) -> float:
    return min(max(pitch, -_STEEPEST), _STEEPEST)
