"""Image files as pixels, through Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.files import is_file, is_there
from segsolve_runtime.contract.limits import PIXELS
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.pixels import Canvas, Fit

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What a folder's images are known by; a file that is named may have any suffix."""


class TooLargeError(InputError):
    """An image of more pixels than are read."""


def check_pillow() -> None:
    """Raise an InputError if Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise InputError("to read images needs Pillow; install it with: pip install pillow") from None


def load_pixels(path: Path, canvas: Canvas, fit: Fit) -> Array:
    """Return an image of a file as uint8 [height, width, channels], upright, in the canvas's size and channels.

    An animation gives its first image; what is transparent is drawn on black.

    Raises:
        InputError: the file is no image that Pillow can read, or its pixels have more than 8 bits.
    """
    return _pixels(opened(path, str(path)), canvas, fit, path)


def load_original(path: Path) -> Image.Image:
    """Return an image of a file as it is, upright.

    Raises:
        InputError: as for `load_pixels`.
    """
    return opened(path, str(path))


def fitted_pixels(pixels: Array, canvas: Canvas, fit: Fit) -> Array:
    """Return pixels, uint8 [any height, any width, 3], in the canvas's size and channels."""
    from PIL import Image

    drawn = _fitted(Image.fromarray(pixels).convert(canvas.mode), (canvas.width, canvas.height), fit)
    return np.asarray(drawn, np.uint8).reshape(canvas.height, canvas.width, canvas.channels)


def opened(source: Path | IO[bytes], label: str) -> Image.Image:
    """Return the image of a file or of a stream, decoded and upright.

    Raises:
        TooLargeError: it has more pixels than the limit.
        InputError: it is none that Pillow can read.
    """
    from PIL import Image, ImageOps

    most = PIXELS.most
    if isinstance(source, Path) and is_there(source) and not is_file(source):
        raise InputError(f"{label} is not a regular file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            Image.MAX_IMAGE_PIXELS = most  # Pillow refuses twice as many by itself
            with Image.open(source) as image:
                if image.width * image.height > most:
                    raise Image.DecompressionBombError
                return ImageOps.exif_transpose(image)
    except Image.DecompressionBombError:
        raise TooLargeError(f"{label} is an image of more than {PIXELS.said()}; refused") from None
    except Exception as error:  # Pillow's decoders raise whatever they meet in a damaged file
        raise InputError(f"{label} is no image that Pillow can read: {_reason(error)}") from None


def _pixels(upright: Image.Image, canvas: Canvas, fit: Fit, path: Path) -> Array:
    if upright.mode.startswith(("I", "F")):
        raise InputError(f"{path} has pixels of more than 8 bits (mode {upright.mode}); convert it, or give .npy")
    drawn = _fitted(_converted(upright, canvas.mode), (canvas.width, canvas.height), fit)
    return np.asarray(drawn, np.uint8).reshape(canvas.height, canvas.width, canvas.channels)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    from PIL import Image

    if mode == "RGBA" or not image.has_transparency_data:
        return image.convert(mode)
    coloured = image.convert("RGBA")
    black = Image.new("RGBA", coloured.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, coloured).convert(mode)


def _fitted(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    from PIL import Image, ImageOps

    if image.size == size:
        return image
    if fit == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    if fit == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR)
    return image.resize(size, Image.Resampling.BILINEAR)


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "unknown format"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
