"""Image files as pixels, through Pillow."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.pixels import Canvas, Fit

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What a folder's images are known by; a file that is named may have any suffix."""


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
    with _opened(path) as image:
        return _pixels(image, canvas, fit, path)


def load_original(path: Path) -> Image.Image:
    """Return an image of a file as it is, upright.

    Raises:
        InputError: as for `load_pixels`.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        return ImageOps.exif_transpose(image)


def fitted_pixels(pixels: Array, canvas: Canvas, fit: Fit) -> Array:
    """Return pixels, uint8 [any height, any width, 3], in the canvas's size and channels."""
    from PIL import Image

    drawn = _fitted(Image.fromarray(pixels).convert(canvas.mode), (canvas.width, canvas.height), fit)
    return np.asarray(drawn, np.uint8).reshape(canvas.height, canvas.width, canvas.channels)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image; whatever Pillow finds wrong with it, then or later, is an InputError."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(f"{path} is an image of more than {Image.MAX_IMAGE_PIXELS} pixels; refused") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:  # Pillow's decoders raise all of these
        raise InputError(f"{path} is no image that Pillow can read: {_reason(error)}") from None


def _pixels(image: Image.Image, canvas: Canvas, fit: Fit, path: Path) -> Array:
    from PIL import ImageOps

    if image.mode.startswith(("I", "F")):
        raise InputError(f"{path} has pixels of more than 8 bits (mode {image.mode}); convert it, or give .npy")
    upright = ImageOps.exif_transpose(image)
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
