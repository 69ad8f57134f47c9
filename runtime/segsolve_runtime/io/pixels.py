"""How an image becomes a tensor: its size, its channels and its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.quantise import dequantise, quantise, real_range

Fit = Literal["stretch", "crop", "pad"]
FITS: tuple[Fit, ...] = ("stretch", "crop", "pad")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Ranges that models are trained on; over each, pixels spread as over the type: 0 is the least value, 255 the greatest.
_USUAL_RANGES = ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-128.0, 127.0))
_TOLERANCE = 0.03  # of the range's width: calibrations end a little inside of it


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRule:
    """What the user says about images: how they fit, and which pixel stands for which number.

    `mean` and `std` are in pixels, of one channel or of each: real = (pixel - mean) / std. Without them a quantised
    input takes pixels over its whole range. With `raw_tensor`, bytes without a format are the tensor's own numbers, not
    pixels.
    """

    fit: Fit = "stretch"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    raw_tensor: bool = False


DEFAULT_RULE = PixelRule()


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The image that a tensor holds: width and height in pixels, and Pillow's name for its channels."""

    width: int
    height: int
    channels: int

    @property
    def mode(self) -> str:
        """Pillow's name for the channels."""
        return _MODES[self.channels]


def canvas_of(spec: TensorSpec) -> Canvas:
    """Return the image that an input holds: [1, height, width, channels], with 1, 3 or 4 channels, or [height, width].

    Raises:
        InputError: the input is no image.
    """
    shape = spec.shape[1:] if len(spec.shape) in (3, 4) and spec.shape[0] == 1 else spec.shape
    shape = [*shape, 1] if len(shape) == 2 and shape[0] > 1 else shape
    if len(shape) != 3 or shape[2] not in _MODES or min(shape) < 1:
        raise InputError(f"the input {spec.name!r} of shape {spec.shape} is no image; give .npy, .npz or raw bytes")
    return Canvas(width=shape[1], height=shape[0], channels=shape[2])


def check_rule(rule: PixelRule, spec: TensorSpec) -> None:
    """Raise an InputError if it is not clear how pixels become the input's numbers."""
    canvas = canvas_of(spec)
    for option, given in (("mean", rule.mean), ("std", rule.std)):
        if given is not None and len(given) not in (1, canvas.channels):
            raise InputError(f"{option} has {len(given)} numbers, but {spec.name!r} has {canvas.channels} channels")
    if rule.std is not None and min(rule.std) <= 0:
        raise InputError(f"std is {min(rule.std):g}; it must be greater than 0")
    if rule.mean is None and rule.std is None and spec.dtype not in ("int8", "uint8"):
        raise InputError(
            f"the input {spec.name!r} takes {spec.dtype}: say which pixel stands for which number, "
            "e.g. --mean 127.5 --std 127.5 for -1 to 1"
        )


def takes_pixels(rule: PixelRule, spec: TensorSpec) -> bool:
    """Whether bytes without a format are pixels for an input: if it is an image, and the user says nothing else."""
    try:
        canvas_of(spec)
    except InputError:
        return False
    return not rule.raw_tensor and (spec.dtype in ("int8", "uint8") or (rule.mean, rule.std) != (None, None))


def doubt(rule: PixelRule, spec: TensorSpec) -> str | None:
    """Return a sentence if a model's range of inputs is none of the usual ones, so that a guess may be wrong."""
    if rule.mean is not None or rule.std is not None or spec.scale is None:
        return None
    low, high = real_range(spec)
    room = _TOLERANCE * (high - low)
    if any(abs(low - a) <= room and abs(high - b) <= room for a, b in _USUAL_RANGES):
        return None
    return (
        f"the input {spec.name!r} stands for {low:.3g} to {high:.3g}, and pixels are spread evenly over that; "
        "say --mean and --std if the model was trained otherwise"
    )


def pixels_of(tensor: Array, spec: TensorSpec, rule: PixelRule) -> Array:
    """Return the image (uint8 [height, width, channels]) that `tensor_of` makes a tensor of, but for rounding."""
    canvas = canvas_of(spec)
    if rule.mean is None and rule.std is None:
        pixels = tensor if spec.dtype == "uint8" else tensor.astype(np.int16) + 128
    else:
        mean, std = (np.asarray(given, np.float32) for given in (rule.mean or (0.0,), rule.std or (1.0,)))
        pixels = np.rint(dequantise(tensor, spec) * std + mean)
    return np.clip(pixels, 0, 255).astype(np.uint8).reshape(canvas.height, canvas.width, canvas.channels)


def tensor_of(pixels: Array, spec: TensorSpec, rule: PixelRule) -> Array:
    """Return an image (uint8 [height, width, channels]) as the input's tensor."""
    if rule.mean is None and rule.std is None:
        shifted = pixels if spec.dtype == "uint8" else (pixels.astype(np.int16) - 128).astype(np.int8)
        return np.ascontiguousarray(shifted).reshape(spec.shape)
    mean, std = (np.asarray(given, np.float32) for given in (rule.mean or (0.0,), rule.std or (1.0,)))
    return quantise((pixels.astype(np.float32) - mean) / std, spec).reshape(spec.shape)
