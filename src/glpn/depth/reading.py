"""Read depth files."""

from __future__ import annotations

from pathlib import Path

from glpn import files
from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance
from glpn.errors import DataError, UsageError


def read_depth(path: str | Path, *, scale: float | None = None) -> Depth:
    """Read a file that `Depth.save` wrote as png16, npz, exr or tiff.

    A file from another program needs its `scale` in units per metre: 1000 for millimetres, 256 for
    KITTI, 1 for floats in metres. Its camera is then assumed.

    Raises:
        MissingInput: there is no such file.
        UsageError: neither the file nor the caller states the scale, or the two differ.
        DataError: it is damaged, too large, or not a depth map.
        MissingDependency: EXR needs `pip install -c constraints.txt '.[3d]'`.
    """
    contents = files.read(path, scale=scale)
    if contents.metadata.get("quantity", "depth") != "depth":
        raise DataError(f"{path}: contains {contents.metadata['quantity']!r:.100}, not depth")
    size = (contents.metres.shape[0], contents.metres.shape[1])
    try:
        metadata = contents.metadata
        if "camera" in metadata:
            camera = Camera.from_record(metadata["camera"])
        else:
            camera = Camera.assumed(size)
        provenance = Provenance.from_metadata(metadata, Path(path).name)
        return Depth(contents.metres, camera, provenance, sigma=contents.sigma)
    except (UsageError, DataError) as e:
        raise DataError(f"{path}: {e}") from e
