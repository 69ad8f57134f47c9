"""Between the numbers that a tensor holds and the real numbers that they stand for."""

from __future__ import annotations

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec


def is_quantised(spec: TensorSpec) -> bool:
    """Whether the tensor's integers stand for real numbers: real = scale * (q - zero_point)."""
    return spec.scale is not None and spec.scale > 0 and np.dtype(spec.dtype).kind in "iu"


def quantise(real: Array, spec: TensorSpec) -> Array:
    """Return real numbers as the tensor's integers, as a QUANTIZE operation of the model would.

    Halves are rounded away from zero, and what is out of range becomes the nearest value in range. A tensor that is
    not quantised gets the numbers as they are, in its element type.
    """
    dtype = np.dtype(spec.dtype)
    if not is_quantised(spec):
        return np.asarray(real).astype(dtype)
    steps = np.asarray(real, np.float32) / np.float32(spec.scale or 1)
    rounded = np.copysign(np.floor(np.abs(steps) + 0.5), steps) + (spec.zero_point or 0)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(rounded, limits.min, limits.max).astype(dtype))


def dequantise(values: Array, spec: TensorSpec) -> Array:
    """Return the real numbers (float32) that a tensor's values stand for: themselves if it is not quantised."""
    if not is_quantised(spec):
        return np.asarray(values)
    return np.asarray((values.astype(np.float32) - (spec.zero_point or 0)) * np.float32(spec.scale or 1))


def real_range(spec: TensorSpec) -> tuple[float, float]:
    """Return the least and the greatest real number that a quantised tensor can stand for."""
    limits = np.iinfo(spec.dtype)
    scale, zero = spec.scale or 1.0, spec.zero_point or 0
    return scale * (limits.min - zero), scale * (limits.max - zero)
