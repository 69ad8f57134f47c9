"""Frames of video files and cameras, through PyAV."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.errors import InputError

SUFFIXES = frozenset({".avi", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm"})
_CAMERA = re.compile(r"camera:(\d{1,3})")
_DEVICES = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}


def camera(value: str) -> int | None:
    """Return the number of the camera that a value such as ``camera:0`` means, None if it means none."""
    match = _CAMERA.fullmatch(value)
    return int(match[1]) if match else None


def check_pyav() -> None:
    """Raise an InputError if PyAV is not installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise InputError("to read video needs PyAV; install it with: pip install av") from None


def camera_source(number: int) -> tuple[str, str]:
    """Return where FFmpeg finds a camera on this system, and by which format.

    Raises:
        InputError: it is not known for this system.
    """
    known = _DEVICES.get(sys.platform)
    if known is None:
        raise InputError(f"cameras are read on Linux and macOS, not on {sys.platform}; give a video file or a stream")
    form, name = known
    return name.format(number), form


def video_frames(source: str, form: str | None = None) -> Iterator[Array]:
    """Yield a video's frames as they are decoded, uint8 [height, width, 3], red, green, blue.

    Raises:
        InputError: it cannot be opened or decoded, or has no pictures.
    """
    import av

    label = source if form is None else f"the camera {source}"
    try:
        with av.open(source, format=form) as container:
            if not container.streams.video:
                raise InputError(f"{label} has no pictures in it")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                yield np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{label} cannot be read as video: {getattr(error, 'strerror', None) or error}") from None


def frame_count(path: Path) -> int | None:
    """Return the number of frames that a file says it has, None if it does not.

    Raises:
        InputError: it cannot be opened.
    """
    import av

    try:
        with av.open(str(path)) as container:
            streams = container.streams.video
            return (streams[0].frames or None) if streams else None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as video: {getattr(error, 'strerror', None) or error}") from None
