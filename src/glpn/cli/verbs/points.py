"""`glpn points`: converts a depth file to a point cloud or a mesh."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, inputs, options
from glpn.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from glpn.camera.camera import Camera
    from glpn.depth.depth import Depth
    from glpn.image.photo import Photo

_SPATIAL = ("ply", "glb")
_DEFAULT_JUMP = 0.05
_ASPECT_TOLERANCE = 0.01  # relative difference of the aspect ratios of photo and depth

_DepthFile = Annotated[
    Path, typer.Argument(metavar="DEPTH", help="Depth file: PNG, NPZ, EXR or TIFF.")
]
_Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="FILE.glb or FILE.ply.")
]
_Photo = Annotated[
    Path | None,
    typer.Option(help="The photo, for its colours, and for its camera if no other is known."),
]
_Mesh = Annotated[
    bool | None,
    typer.Option(
        "--mesh/--cloud",
        help="Join adjacent points to a mesh. Default: yes for GLB, no for PLY.",
    ),
]
_Step = Annotated[int, typer.Option(min=1, help="Keep every STEP-th row and column.")]
_Jump = Annotated[float, typer.Option(help="Maximum relative depth difference of joined points.")]
_Scale = Annotated[
    float | None,
    typer.Option(
        help=(
            "Units per metre of a file that does not state them: 1000 for millimetres, 256 "
            "for KITTI, 1 for metres."
        )
    ),
]


@options.grouped
def points(
    depth: _DepthFile,
    output: _Output,
    *,
    photo: _Photo = None,
    mesh: _Mesh = None,
    step: _Step = 1,
    jump: _Jump = _DEFAULT_JUMP,
    camera: options.CameraGroup,
    measured: options.MeasuredGroup,
    scale: _Scale = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Convert a depth file from glpn or a depth camera to a point cloud or a mesh.

    Examples:

      glpn points depth/kitchen.png --photo kitchen.jpg -o kitchen.glb
      glpn points kinect.png --scale 1000 --intrinsics K.txt -o kinect.ply --mesh
    """
    from glpn.depth.reading import read_depth
    from glpn.files import format_of, label

    format = format_of(output)
    if format not in _SPATIAL:
        raise UsageError(f"{output}: expected a name that ends in .glb or .ply")
    joined = format == "glb" if mesh is None else mesh
    if jump != _DEFAULT_JUMP and not joined:
        raise UsageError("--jump: the points of a cloud are not joined; give --mesh")
    given = inputs.camera(camera)
    known = inputs.measurements(measured, given)
    placed = _placed(read_depth(depth, scale=scale), given, photo)
    placed = placed if known is None else placed.calibrate(known)
    chosen: dict[str, object] = {} if mesh is None else {"mesh": mesh}
    ours = bool(label(output, format))  # replace only a file that glpn wrote
    placed.save(output, format, overwrite=overwrite or ours, step=step, jump=jump, **chosen)
    used, note = placed.camera, placed.provenance.note
    facts = {"written": str(output), "depth": str(placed), "focal": round(used.fx, 2)}
    console.print_facts({**facts, "camera": used.source, "note": note}, as_json=as_json)


def _placed(depth: Depth, given: inputs.CameraOptions, photo: Path | None) -> Depth:
    """Return the depth with a camera and, if there is a photo, with the photo's colours.

    The camera is that of the options, else that of the depth file, else that of the photo.

    Raises:
        UsageError: the aspect ratios of photo and depth differ.
        InvalidImage, DataError: the photo or the intrinsics cannot be used.
    """
    from glpn.camera.camera import Camera
    from glpn.camera.selection import choose_camera
    from glpn.image.photo import read_photo

    picture = None if photo is None else read_photo(photo)
    camera = _given_camera(given, depth.size)
    if camera is None and picture is not None and depth.camera == Camera.assumed(depth.size):
        own = choose_camera(picture, focal=None, fov=None)
        camera = own and own.scaled(picture.size, depth.size)
    image = None if picture is None else _resized(picture, depth.size)
    return dataclasses.replace(depth, camera=camera or depth.camera, image=image)


def _given_camera(given: inputs.CameraOptions, size: tuple[int, int]) -> Camera | None:
    """Return the camera of the options, in pixels of the depth."""
    from glpn.camera.camera import Camera

    if given["camera"] is not None:
        return given["camera"].for_size(size)
    if given["focal"] is not None:
        return Camera.from_focal(given["focal"], size, source="given focal length")
    if given["fov"] is not None:
        return Camera.from_fov(given["fov"], size, source="given field of view")
    return None


def _resized(photo: Photo, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize the photo to the depth, because depth cameras often have a lower resolution.

    Raises:
        UsageError: the aspect ratios of photo and depth differ.
    """
    import numpy as np
    from PIL import Image

    (tall, wide), (height, width) = photo.size, size
    if photo.size == size:
        return photo.pixels
    if abs(wide * height / (tall * width) - 1) > _ASPECT_TOLERANCE:
        raise UsageError(
            f"{photo.name}: the photograph has {wide}x{tall} pixels, the depth {width}x{height}: "
            "expected the same shape"
        )
    picture = Image.fromarray(photo.pixels).resize((width, height), Image.Resampling.BOX)
    return np.asarray(picture)
