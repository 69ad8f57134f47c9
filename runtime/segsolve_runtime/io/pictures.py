"""Pictures with the detected objects drawn on them, through Pillow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.files import make_folder
from segsolve_runtime.contract.writing import replacing, sweep
from segsolve_runtime.errors import ResultError
from segsolve_runtime.io.detections import Detection
from segsolve_runtime.io.images import check_pillow, load_original

if TYPE_CHECKING:
    from PIL import Image

# Okabe and Ito's colours, told apart by all: "Color Universal Design", 2008.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")


def open_folder(folder: Path) -> None:
    """Make a folder for pictures.

    Raises:
        InputError: Pillow is not installed.
        ResultError: it cannot be made.
    """
    check_pillow()
    try:
        make_folder(folder)
        sweep(folder)
    except OSError as error:
        raise ResultError(f"{folder} cannot be made: {error.strerror or error}") from None


def draw_on_file(path: Path, found: Sequence[Detection]) -> Image.Image:
    """Return an image file with boxes drawn on it, whatever its size."""
    return _drawn(load_original(path).convert("RGB"), found)


def draw_on_pixels(pixels: Array, found: Sequence[Detection]) -> Image.Image:
    """Return the model's image, uint8 [height, width, channels], with boxes drawn on it."""
    from PIL import Image

    return _drawn(Image.fromarray(np.squeeze(pixels)).convert("RGB"), found)


def save(image: Image.Image, folder: Path, number: int, origin: str) -> Path:
    """Write a picture under a name that tells its frame, and return the path.

    Raises:
        ResultError: it cannot be written.
    """
    stem = re.sub(r"[^\w.-]", "_", Path(origin).stem)[:80]
    path = folder / f"{number:06d}_{stem}.jpg"
    try:
        with replacing(path, durable=False) as stream:
            image.save(stream, format="JPEG", quality=90)
    except OSError as error:
        raise ResultError(f"{path} cannot be written: {error.strerror or error}") from None
    return path


def _drawn(image: Image.Image, detections: Sequence[Detection]) -> Image.Image:
    from PIL import ImageDraw, ImageFont

    pen, (width, height) = ImageDraw.Draw(image), image.size
    line = max(1, round(min(width, height) / 150))
    font = ImageFont.load_default(max(10, min(width, height) / 25))
    for found in reversed(detections):  # the best on top
        left, top, right, bottom = found.box
        colour = _COLOURS[found.index % len(_COLOURS)]
        x0, x1 = sorted((_inside(left, width), _inside(right, width)))
        y0, y1 = sorted((_inside(top, height), _inside(bottom, height)))
        pen.rectangle((x0, y0, x1, y1), outline=colour, width=line)
        text = f"{found.label if found.label is not None else found.index} {found.score:.2f}"
        _, _, wide, high = pen.textbbox((0, 0), text, font=font)
        y = y0 - high - line if y0 - high - line >= 0 else y0 + line
        pen.rectangle((x0, y, x0 + wide + 2 * line, y + high + line), fill=colour)
        pen.text((x0 + line, y), text, fill="white" if colour != "#F0E442" else "black", font=font)
    return image


def _inside(part: float, size: int) -> float:
    return min(max(part, 0.0), 1.0) * (size - 1)
