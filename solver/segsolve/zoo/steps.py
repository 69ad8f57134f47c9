"""What a network consists of before it is written: values, constants and the steps between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from segsolve.zoo.spread import Range, Spread

Activation = Literal["NONE", "RELU", "RELU6"]
Padding = Literal["SAME", "VALID"]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor that flows through the network."""

    name: str
    shape: tuple[int, ...]
    spread: Spread
    range: Range
    is_real: bool = False  # float32 instead of int8


@dataclass(frozen=True, slots=True)
class Window:
    """The part of an image that moves over it, for convolutions and pooling."""

    size: tuple[int, int]
    strides: int
    padding: Padding
    activation: Activation = "NONE"

    def positions(self, x: Value) -> tuple[int, int]:
        """Return how many rows and columns of positions the window takes on an image."""
        height, width = x.shape[1:3]
        if self.padding == "VALID":
            height, width = height - self.size[0] + 1, width - self.size[1] + 1
        return -(-height // self.strides), -(-width // self.strides)

    def options(self) -> dict[str, object]:
        """Return the options that convolutions and pooling share."""
        return {
            "padding": self.padding,
            "strideH": self.strides,
            "strideW": self.strides,
            "fusedActivationFunction": self.activation,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """Weights of a step, to be drawn so that its outputs have about the standard deviation ``std``."""

    shape: tuple[int, ...]
    channel_axis: int  # the axis of the output channels, each of which has its own scale
    std: float = 1.0
    bias: bool = True  # without, the written bias is all zero
    normalised: bool = False  # by a batch normalisation, which is part of weights and bias


@dataclass(frozen=True, slots=True, eq=False)
class ChannelConstant:
    """One int8 number per channel, to be drawn between two bounds: half of a batch normalisation."""

    name: str
    shape: tuple[int, ...]
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """An int32 constant that parametrises a step, such as the axes of a mean."""

    name: str
    values: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Reals:
    """A float32 constant, such as the anchors of a detector."""

    name: str
    values: tuple[float, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation of the network; a kernel adds the weights and the bias to its inputs.

    The options of a custom operation, which the schema does not know, are a map in its file's own encoding.
    """

    operator: str  # as in the schema's BuiltinOperator, or the name of a custom operation
    inputs: tuple[Value, ...]
    output: Value
    options: Mapping[str, object]  # fields of the operator's options in the schema, enumerations by name
    kernel: Kernel | None = None
    constants: tuple[ChannelConstant | Integers | Reals, ...] = ()
    further: tuple[Value, ...] = ()  # outputs behind the first
