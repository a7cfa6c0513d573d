"""`glpn video`: converts a video or a camera to a depth video, depth frames or a live window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from glpn.cli import console, inputs, options
from glpn.concurrency import stop_signals
from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.engines.options import EngineOptions
    from glpn.video import Summary, VideoCamera, VideoOptions


_FRAMES_IF_UNKNOWN = 1000  # frame count assumed to select the engine


class VideoFormat(str, Enum):
    """The output formats, the same as `glpn.video.FORMATS`."""

    mp4 = "mp4"
    png16 = "png16"
    npz = "npz"


_Video = Annotated[
    Path | None, typer.Argument(metavar="VIDEO", help="MP4, MOV, MKV, WEBM, AVI and the like.")
]
_Camera = Annotated[
    int | None,
    typer.Option(
        metavar="NUMBER",
        min=0,
        help="The number of a camera, counted from 0, instead of a video. It is shown in a window "
        "if there is a display, until you press q.",
        rich_help_panel=options.FILES,
    ),
]
_Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File for mp4; folder for png16 and npz. Default: walk.mp4 becomes walk-depth.mp4 or "
        "walk-depth here; a camera writes nothing.",
        rich_help_panel=options.FILES,
    ),
]
_Format = Annotated[
    VideoFormat,
    typer.Option(
        help=(
            "mp4: the picture beside the coloured depth; png16: one 16-bit PNG in millimetres "
            "per frame; npz: metres and seconds in chunks of frames."
        ),
        rich_help_panel=options.FILES,
    ),
]
_Smooth = Annotated[
    bool,
    typer.Option(
        "--smooth",
        help=(
            "Smooth the depth over time where the picture is static, and print the flicker "
            "before and after."
        ),
    ),
]
_Colormap = Annotated[
    str,
    typer.Option(
        help="Colours of mp4: inferno, magma, plasma, viridis, turbo, spectral_r or gray.",
        rich_help_panel=options.FILES,
    ),
]
_Near = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help="Near end of the colours of mp4. Default: from the first second.",
        rich_help_panel=options.FILES,
    ),
]
_Far = Annotated[
    float | None,
    typer.Option(
        metavar="METRES",
        help="Far end of the colours of mp4. Default: from the first second.",
        rich_help_panel=options.FILES,
    ),
]

_Ref = Annotated[
    list[str] | None,
    typer.Option(
        metavar="X,Y,METRES",
        help=(
            "A depth measured at this pixel of the first frame, along the optical axis. One "
            "scales the depth of the whole video; several can also shift it."
        ),
        rich_help_panel=options.CAMERA,
    ),
]


@options.grouped
def video(
    path: _Video = None,
    output: _Output = None,
    camera: _Camera = None,
    *,
    model: options.ModelGroup,
    format: _Format = VideoFormat.mp4,
    smooth: _Smooth = False,
    colormap: _Colormap = options.DEFAULT_COLORMAP,
    near: _Near = None,
    far: _Far = None,
    lens: options.CameraGroup,
    ref: _Ref = None,
    scale: options.Scale = options.DEFAULT_SCALE,
    overwrite: options.Overwrite = False,
    printed: options.Printed,
) -> None:
    """Estimate the depth of every frame of a video or a camera.

    An MP4 keeps the frame count, time stamps and audio, NPZ the time stamps. One range of colours
    holds for the whole video. If the network is slower than the camera, glpn drops frames instead
    of queueing them.

    Examples:

      glpn video walk.mp4 --smooth
      glpn video walk.mp4 -o walk-frames --format png16
      glpn video walk.mp4 --fov 60 --ref 320,240,2.5
      glpn video --camera 0
    """
    from glpn.video import VideoOptions

    if (path is None) == (camera is None):
        raise UsageError("give either a VIDEO or --camera NUMBER")
    if camera is not None and output is None:
        _refuse(
            {
                "--format": format is not VideoFormat.mp4,
                "--scale": scale != options.DEFAULT_SCALE,
                "--overwrite": overwrite,
            },
            "a camera without -o writes nothing",
        )
    unused = f"--format {format.value} does not use it"
    if format is not VideoFormat.mp4 and path is not None:
        _refuse(
            {
                "--colormap": colormap != options.DEFAULT_COLORMAP,
                "--near": near is not None,
                "--far": far is not None,
            },
            unused,
        )
    if format is not VideoFormat.png16:
        _refuse({"--scale": scale != options.DEFAULT_SCALE}, unused)
    opened = model.engine_options()
    video_options = VideoOptions(
        format=format.value,
        smooth=smooth,
        colormap=colormap,
        near=near,
        far=far,
        scale=scale,
        overwrite=overwrite,
        camera=_known_camera(lens, ref),
    )
    if path is None:
        summary = _watch(camera or 0, output, opened, video_options)
    else:
        silent = printed.quiet or printed.as_json
        summary = _convert(path, output, opened, wanted=video_options, quiet=silent)
    _report(summary, as_json=printed.as_json, quiet=printed.quiet)


def _refuse(given: Mapping[str, bool], reason: str) -> None:
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option}: {reason}")


def _known_camera(lens: options.CameraGroup, references: list[str] | None) -> VideoCamera:
    from glpn.video import VideoCamera

    given = inputs.camera(lens)
    known = inputs.measurements(options.MeasuredGroup(ref=references), given)
    return VideoCamera(
        focal=given["focal"],
        fov=given["fov"],
        intrinsics=given["camera"],
        references=() if known is None else known.references,
    )


def _convert(
    path: Path,
    output: Path | None,
    engine: EngineOptions,
    *,
    wanted: VideoOptions,
    quiet: bool,
) -> Summary:
    """Convert a file, with a progress bar."""
    from glpn.jobs import SharedEstimator
    from glpn.video import convert, open_video

    opened = open_video(path)
    network = SharedEstimator(engine, photos=opened.expected or _FRAMES_IF_UNKNOWN)
    target = wanted.default_output(opened) if output is None else output
    with console.progress(opened.expected, quiet=quiet, unit="frames") as advance:
        return convert(opened, target, network, options=wanted, on_frame=lambda *_: advance())


def _watch(
    number: int, output: Path | None, engine: EngineOptions, wanted: VideoOptions
) -> Summary:
    """Process a camera until the user stops it; show the frames if there is a display."""
    from glpn.estimator import DepthEstimator
    from glpn.video import FramePredictor, choose_colors, convert
    from glpn.video.webcam import open_webcam, webcam_device
    from glpn.video.window import open_window

    estimator = DepthEstimator.open(engine)
    with open_webcam(webcam_device(number)) as webcam, stop_signals(lambda _: webcam.stop()):
        predict = FramePredictor(estimator, webcam, wanted.camera)
        colors = choose_colors(webcam, predict, wanted)
        wanted = replace(wanted, near=colors.near, far=colors.far)
        with open_window(colors, webcam, needed=output is None) as show:
            return convert(webcam, output, estimator, options=wanted, on_frame=show)


def _report(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        console.print_json(asdict(summary))
    elif not quiet:
        for line in _lines(summary):
            console.print_line(console.escaped(line))
    if not quiet and not as_json:
        for warning in summary.warnings:
            console.note(f"warning: {console.escaped(warning)}")


def _lines(summary: Summary) -> list[str]:
    """Return the summary as lines of text."""
    height, width = summary.size
    cuts = "no cut" if not summary.cuts else f"{summary.cuts} cut{'s' * (summary.cuts > 1)}"
    lines = [
        f"{summary.written or 'shown'}: {summary.frames} frames of {width}x{height} "
        f"at {summary.rate:g}/s, {cuts}, audio {' and '.join(summary.audio) or 'none'}"
    ]
    lines.append(f"camera: {summary.camera}")
    if summary.range is not None:
        lines.append("colours from {:.2f} to {:.2f} m for the whole video".format(*summary.range))
    if summary.flicker is not None:
        flicker = f"flicker {summary.flicker:.2%} per frame where the picture is static"
        if summary.flicker_smoothed is not None:
            flicker += f", {summary.flicker_smoothed:.2%} after smoothing"
        lines.append(flicker)
    return lines
