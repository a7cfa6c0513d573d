"""FrameSet: a list of frames on disk and how their files become samples."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.camera.camera import Camera
from glpn.camera.intrinsics import Intrinsics
from glpn.data.depthmaps import (
    UNREADABLE,
    DepthFormat,
    depth_size,
    read_depth_map,
    to_metres,
)
from glpn.data.ibims import SCENE_SUFFIX, read_scene
from glpn.data.sample import Sample
from glpn.errors import DataError, MissingInput
from glpn.image.orientation import read_upright_size
from glpn.image.photo import read_photo

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
KITTI_CROP_SIZE = (352, 1216)  # the KB crop: the bottom rows, the middle columns
WARNING_NOTE = "warning: "  # prefix of notes that are warnings
SHOWN = 5  # maximum number of names in an error message

_NO_BORDER = (0, 0, 0, 0)


@dataclass(frozen=True)
class Frame:
    """One image file with its depth file; `name` is unique in its set.

    A MATLAB file of iBims-1 is both.
    """

    name: str
    image: Path
    depth: Path
    scene: str | None = None
    intrinsics: Intrinsics | None = None
    mask: Path | None = None  # 0 where the depth is unreliable

    def camera(self, size: tuple[int, int]) -> Camera | None:
        """The camera of the image, which has this (height, width); None if unknown.

        Raises:
            DataError: the intrinsics cannot be those of such an image; the message names the frame.
        """
        if self.intrinsics is None:
            return None
        try:
            return self.intrinsics.for_size(size)
        except DataError as e:
            hint = "intrinsics_size in dataset.toml states the size that intrinsics belong to"
            raise DataError(f"{self.name}: {e}; {hint}") from None

    @property
    def is_scene(self) -> bool:
        """Whether one MATLAB file holds image, depth and camera."""
        return self.image == self.depth and self.image.suffix.lower() == SCENE_SUFFIX


@dataclass(frozen=True)
class Reading:
    """How a set's files become samples; the fields are those of `DatasetSpec`."""

    form: DepthFormat
    border: tuple[int, int, int, int] = _NO_BORDER  # top, bottom, left, right
    resize: str = "auto"
    crop: str = "none"

    def allows(self, image: tuple[int, int], depth: tuple[int, int]) -> bool:
        """Whether an image and a depth map of these (height, width) can be combined."""
        return (
            image == depth
            or self.resize in ("image", "depth")
            or (self.resize == "auto" and same_aspect(image, depth))
        )


@dataclass(frozen=True)
class FrameSet:
    """Frames that are read one at a time, by position, and not kept in memory.

    `notes` are sentences for the user about the recognised layout, estimates and omissions.
    """

    frames: tuple[Frame, ...]
    reading: Reading
    name: str = "frames"
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        """Read one frame.

        Raises:
            MissingInput, InvalidImage, DataError: a file is missing, damaged, or has another size;
                the message names it.
        """
        return read_frame(self.frames[index], self.reading)

    def parts(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], Camera | None]:
        """One frame's upright image, its metres and its camera, each at its own size."""
        return _decoded(self.frames[index], self.reading.form)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    @property
    def names(self) -> tuple[str, ...]:
        """One name per frame."""
        return tuple(frame.name for frame in self.frames)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings among the notes, without their prefix."""
        marked = (note for note in self.notes if note.startswith(WARNING_NOTE))
        return tuple(note.removeprefix(WARNING_NOTE) for note in marked)

    def scene(self, index: int) -> str | None:
        """The room, drive or walk that a frame belongs to, if the layout has scenes."""
        return self.frames[index].scene

    def subset(self, indices: Iterable[int]) -> FrameSet:
        """A set of the frames at these positions, in the given order."""
        return dataclasses.replace(self, frames=tuple(self.frames[i] for i in indices))

    def select(self, names: Sequence[str]) -> FrameSet:
        """A set of the frames with these names, in the given order.

        Raises:
            MissingInput: some are missing; the message counts them and shows the first.
        """
        by_name = {frame.name: frame for frame in self.frames}
        absent = [name for name in names if name not in by_name]
        if absent:
            raise MissingInput(f"{self.name}: {counted(absent, 'listed frame')} not there")
        return dataclasses.replace(self, frames=tuple(by_name[name] for name in names))


def read_frame(frame: Frame, reading: Reading) -> Sample:
    """One frame as a sample; see `FrameSet.__getitem__`."""
    image, depth, camera = _decoded(frame, reading.form)
    size = (image.shape[0], image.shape[1])
    if depth.shape != size:
        image, depth = _resize(frame, image, depth, reading.resize)
        camera = camera and camera.scaled(size, (image.shape[0], image.shape[1]))
    top, bottom, left, right = reading.border
    if reading.border != _NO_BORDER:
        depth[:top], depth[len(depth) - bottom :] = 0, 0
        depth[:, :left], depth[:, depth.shape[1] - right :] = 0, 0
    if reading.crop == "kitti":
        image, depth, camera = _kitti_crop(frame, image, depth, camera)
    return Sample(frame.name, image, depth, frame.scene, camera)


def _decoded(
    frame: Frame, form: DepthFormat
) -> tuple[NDArray[np.uint8], NDArray[np.float32], Camera | None]:
    """Read the frame's files: image, metres (0 where masked) and the image's camera."""
    if frame.is_scene:
        scene = read_scene(frame.image)
        return scene.image, to_metres(scene.depth, form), scene.camera
    image = read_photo(frame.image).pixels
    depth = read_depth_map(frame.depth, form)
    if frame.mask is not None:
        depth = _masked(depth, frame.mask)
    return image, depth, frame.camera((image.shape[0], image.shape[1]))


def same_aspect(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two (height, width) have the same aspect ratio, up to rounding of one side."""
    return abs(first[0] * second[1] / first[1] - second[0]) < 1


def verify(frames: Sequence[Frame], reading: Reading) -> tuple[str, ...]:
    """Check from the headers that every file exists and that image and depth agree in size.

    Returns:
        A note if depth maps will be resized to their images.

    Raises:
        MissingInput: there is no frame, or files are missing: how many, and the first names.
        DataError: sizes differ: how many, and the first frames with both sizes; or a frame's
            intrinsics belong to images of another size.
    """
    if not frames:
        raise MissingInput("no frame in the list")
    files = [path for frame in frames for path in (frame.image, frame.depth, frame.mask) if path]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise MissingInput(f"{counted(missing, 'file')} missing")
    wrong, resized = [], []
    for frame in (frame for frame in frames if not frame.is_scene):
        height, width = read_upright_size(frame.image)
        tall, wide = depth_size(frame.depth, reading.form)
        frame.camera((height, width))
        if not reading.allows((height, width), (tall, wide)):
            turned = " turned" if same_aspect((height, width), (wide, tall)) else ""
            wrong.append(f"{frame.name} (image {width}x{height}, depth {wide}x{tall}{turned})")
        elif (height, width) != (tall, wide):
            resized.append(f"image {width}x{height}, depth {wide}x{tall}")
    if wrong:
        raise DataError(
            f"{counted(wrong, 'frame')} with a depth of another shape than the image; resize = "
            '"depth" or "image" brings them together if they show the same view'
        )
    if not resized:
        return ()
    rule = "the image is scaled" if reading.resize == "image" else "depth pixels are repeated"
    sizes = ", ".join(sorted(set(resized))[:SHOWN])
    return (
        f"{plural(len(resized), 'depth map')} of another size than the image: {rule} ({sizes})",
    )


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 error", "2 errors"."""
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def counted(names: Sequence[str], noun: str) -> str:
    """ "7 files (a, b, c, d, e, ...)": a count and the first names."""
    return f"{plural(len(names), noun)} ({some(names)})"


def some(names: Sequence[str]) -> str:
    """The first names of a list: "a, b, c, d, e, ..."."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _masked(depth: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                mask = np.lib.format.read_array(file, allow_pickle=False)
        else:
            with Image.open(path, formats=("PNG",)) as picture:
                mask = np.asarray(picture.convert("L"))
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such mask") from None
    except UNREADABLE as e:
        raise DataError(f"{path}: not a readable mask: {e}") from None
    if mask.dtype.kind not in "buif":
        raise DataError(f"{path}: expected a mask of numbers, got {mask.dtype}")
    if mask.squeeze().shape != depth.shape:
        raise DataError(f"{path}: mask of shape {mask.shape}, depth {depth.shape}")
    return np.where(mask.squeeze() > 0, depth, np.float32(0))


def _resize(
    frame: Frame, image: NDArray[np.uint8], depth: NDArray[np.float32], resize: str
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    height, width = image.shape[:2]
    tall, wide = depth.shape
    if resize == "image":
        resized = Image.fromarray(image).resize((wide, tall), Image.Resampling.BOX)
        return np.asarray(resized), depth
    if resize == "depth" or (resize == "auto" and same_aspect((height, width), (tall, wide))):
        rows = (2 * np.arange(height) + 1) * tall // (2 * height)  # nearest pixel centre
        columns = (2 * np.arange(width) + 1) * wide // (2 * width)
        return image, depth[rows[:, None], columns]
    raise DataError(f"{frame.name}: image {width}x{height}, depth {wide}x{tall}: shapes differ")


def _kitti_crop(
    frame: Frame, image: NDArray[np.uint8], depth: NDArray[np.float32], camera: Camera | None
) -> tuple[NDArray[np.uint8], NDArray[np.float32], Camera | None]:
    height, width = depth.shape
    tall, wide = KITTI_CROP_SIZE
    if height < tall or width < wide:
        raise DataError(f"{frame.name}: {width}x{height} is smaller than the KB crop {wide}x{tall}")
    top, left = height - tall, (width - wide) // 2
    window = np.s_[top : top + tall, left : left + wide]
    if camera is not None:
        camera = dataclasses.replace(camera, cx=camera.cx - left, cy=camera.cy - top)
    return image[window], depth[window], camera
