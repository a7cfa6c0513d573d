"""Compiled kernels of the renderer: `rays.c` and `surface.c` through ctypes, for CPU tensors.

If glpn was built without a compiler, there are no libraries: `available()` is False, and `cast` and
`surface` run as torch operations, as on a GPU.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_SUFFIX = {"darwin": "dylib", "win32": "dll"}.get(sys.platform, "so")
_SURFACE_MAPS = 12  # defined in surface.c


class _Picture(ctypes.Structure):
    """`struct glpn_picture` of rays.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "y", "rows", "boxes", "near", "order")),
        *((name, ctypes.c_void_p) for name in ("depth", "solid", "across", "listed")),
        *((name, ctypes.c_int64) for name in ("height", "width", "solids")),
        ("nearest", ctypes.c_float),
        ("clone", ctypes.c_int32),
    )


class _Rays(ctypes.Structure):
    """`struct glpn_rays` of rays.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("x", "y", "rows", "candidates", "depth", "solid")),
        *((name, ctypes.c_int64) for name in ("rays", "choices")),
        ("nearest", ctypes.c_float),
    )


class _Surface(ctypes.Structure):
    """`struct glpn_surface` of surface.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("table", "row", "x", "y", "depth", "footprint")),
        *((name, ctypes.c_void_p) for name in ("bank", "relief", "offsets", "maps", "face")),
        *((name, ctypes.c_int64) for name in ("pixels", "bank_texels", "relief_texels")),
        ("clone", ctypes.c_int32),
    )


def available(device: torch.device) -> bool:
    """Whether the compiled kernels run on this device."""
    return device.type == "cpu" and clones() > 0


def clones() -> int:
    """How many variants of the kernels this processor runs, counted from the simplest one."""
    libraries = _libraries()
    return 0 if libraries is None else int(libraries[0].glpn_rays_clones())


def cast_pictures(
    rays: tuple[Tensor, Tensor],
    rows: Tensor,
    boxes: Tensor,
    *,
    ranked: tuple[Tensor, Tensor],
    nearest: float,
) -> tuple[Tensor, Tensor]:
    """The nearest solid along each ray of B images.

    Args:
        rays: x and y [B, H, W], H and W multiples of the tile.
        rows: each solid's test [B, P, 15]: slope, origin, quadric.
        boxes: each solid in camera axes [B, P, 12]: centre, three arms.
        ranked: smallest depths [B, P], ascending, inf for solids to skip; and their indices.
        nearest: rays start at this depth.

    Returns:
        Depth and index of the solid [B, H, W]; inf and -1 on a miss.
    """
    batch, height, width = rays[0].shape
    count = rows.shape[1]
    depth = torch.empty(rays[0].shape)
    solid = torch.empty(rays[0].shape, dtype=torch.int32)
    across = torch.empty((batch, width, count), dtype=torch.uint8)
    listed = torch.empty((batch, count), dtype=torch.int32)
    inputs = [field.contiguous() for field in (*rays, rows, boxes, *ranked)]
    fields = [*inputs, depth, solid, across, listed]
    clone = clones() - 1
    jobs = [
        _Picture(*(field[i].data_ptr() for field in fields), height, width, count, nearest, clone)
        for i in range(batch)
    ]
    _each(_libraries()[0].glpn_rays_picture, jobs)
    return depth, solid


def nearest_of(
    rays: tuple[Tensor, Tensor], rows: Tensor, candidates: Tensor, *, nearest: float
) -> tuple[Tensor, Tensor]:
    """Depth and solid [B, n] of the nearest of candidates [K, B, n], -1 for none, per ray.

    rays, rows, nearest: as of `cast_pictures`, rays x and y [B, n].
    """
    depth = torch.empty(rays[0].shape)
    solid = torch.empty(rays[0].shape, dtype=torch.int32)
    candidates = candidates.transpose(0, 1).int()  # [B, K, n]
    fields = [field.contiguous() for field in (*rays, rows, candidates)]
    fields += [depth, solid]
    batch, choices, count = candidates.shape
    jobs = [
        _Rays(*(field[i].data_ptr() for field in fields), count, choices, nearest)
        for i in range(batch)
    ]
    _each(_libraries()[0].glpn_rays_nearest, jobs)
    return depth, solid


def surface(
    table: Tensor,
    pixels: tuple[Tensor, ...],
    *,
    textures: tuple[Tensor, Tensor, Tensor],
) -> tuple[Tensor, Tensor]:
    """The surface at N pixels, in the layout of `surface.surface`.

    Args:
        table: the parameters of each solid, [M, 46].
        pixels: row in the table, ray x and y, depth, footprint, each [N].
        textures: the bank and the relief, float32 [3, texels], and their levels' offsets.

    Returns:
        Maps [12, N]: normal, shading, colour, specular, gloss, emission; and the face, int32 [N].
    """
    count = pixels[0].numel()
    maps = torch.empty((_SURFACE_MAPS, count))
    face = torch.empty(count, dtype=torch.int32)
    bank, relief, offsets = textures
    fields = [field.contiguous() for field in (table, *pixels, bank, relief, offsets)]
    fields += [maps, face]
    sizes = count, bank.shape[1], relief.shape[1]
    job = _Surface(*(field.data_ptr() for field in fields), *sizes, clones() - 1)
    _libraries()[1].glpn_surface(ctypes.byref(job))
    return maps, face


def _each(function: Callable[[object], object], jobs: Sequence[ctypes.Structure]) -> None:
    """Run the jobs in as many threads as torch uses; ctypes releases the GIL during calls."""
    threads = min(torch.get_num_threads(), len(jobs))
    pointers = [ctypes.byref(job) for job in jobs]
    if threads == 1:
        for pointer in pointers:
            function(pointer)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(function, pointers))


@functools.cache
def _libraries() -> Any:
    """The compiled `rays.c` and `surface.c`, or None."""
    folder = Path(__file__).parent
    try:
        rays, surfaces = (
            ctypes.CDLL(str(folder / f"_{name}.{_SUFFIX}")) for name in ("rays", "surface")
        )
    except OSError:  # not built, or built for another machine
        return None
    rays.glpn_rays_clones.restype = ctypes.c_int32
    for function in (rays.glpn_rays_picture, rays.glpn_rays_nearest, surfaces.glpn_surface):
        function.argtypes, function.restype = (ctypes.c_void_p,), None
    return rays, surfaces
