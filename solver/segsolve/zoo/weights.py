"""Random weights of one layer, with the scales and the bias that give its outputs the wanted spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segsolve.zoo.steps import Kernel, Value

LARGEST = 127  # -128 is no weight: TFLite's range is symmetric
GAIN = (0.8, 1.2)  # channels differ in scale and offset, as trained ones do
OFFSET = 0.1


@dataclass(frozen=True, slots=True)
class Weights:
    """What the file holds of a layer: int8 weights, int32 bias, and the scale of each output channel's weights."""

    values: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    scales: npt.NDArray[np.float32]


def draw(rng: np.random.Generator, kernel: Kernel, source: Value) -> Weights:
    """Draw weights, uniformly, for outputs with mean 0 and the kernel's standard deviation."""
    shape, axis = kernel.shape, kernel.channel_axis
    window = shape[:axis] + shape[axis + 1 :]
    rows = rng.integers(-LARGEST, LARGEST + 1, size=(shape[axis], math.prod(window)), dtype=np.int8)
    if not kernel.normalised:
        rows = _centred(rows)
    squares = np.array([np.square(row, dtype=np.int32).sum() for row in rows])
    gains = rng.uniform(*GAIN, size=len(rows)) * kernel.std
    scales = (gains / (source.spread.std * np.sqrt(squares))).astype(np.float32)
    offsets = rng.normal(0.0, OFFSET * kernel.std, size=len(rows))
    totals = rows.sum(axis=1, dtype=np.int32)
    bias = np.rint((offsets / scales - source.spread.mean * totals) / source.range.scale) * kernel.bias
    return Weights(np.moveaxis(rows.reshape(-1, *window), 0, axis), bias.astype(np.int32), scales)


def _centred(rows: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Let the weights of a channel add up to little, because no normalisation undoes the mean of the input."""
    centred: npt.NDArray[np.float64] = rows - np.rint(rows.mean(axis=1, keepdims=True))
    return np.clip(centred, -LARGEST, LARGEST).astype(np.int8)
