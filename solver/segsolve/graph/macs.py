"""Multiply-accumulate counts, from shapes alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from segsolve.graph.model import Tensor

Shapes = Sequence[Tensor | None]


def _convolution(inputs: Shapes, output: Tensor) -> int:
    """Weights [Cout, kh, kw, Cin / groups]: every output element sums kh * kw * Cin / groups products."""
    return prod(output.shape) * prod(_shape(inputs, 1)[1:])


def _depthwise(inputs: Shapes, output: Tensor) -> int:
    """Weights [1, kh, kw, C]: every output element sums kh * kw products."""
    return prod(output.shape) * prod(_shape(inputs, 1)[1:3])


def _dense(inputs: Shapes, output: Tensor) -> int:
    """Weights [Nout, Nin]: every output element sums Nin products."""
    return prod(output.shape) * _shape(inputs, 1)[-1]


def _transposed_convolution(inputs: Shapes, output: Tensor) -> int:
    """Weights [Cout, kh, kw, Cin]: every input element is scattered to kh * kw * Cout products."""
    return prod(_shape(inputs, 2)) * prod(_shape(inputs, 1)[:3])


def _matrix_product(inputs: Shapes, output: Tensor) -> int:
    """[..., M, K] by [..., K, N], either transposed or not: every output element sums K products."""
    return prod(output.shape) * prod(_shape(inputs, 0)[-2:]) // output.shape[-2]


_COUNTERS: dict[str, Callable[[Shapes, Tensor], int]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "TRANSPOSE_CONV": _transposed_convolution,
    "BATCH_MATMUL": _matrix_product,
}
MAC_KINDS = frozenset(_COUNTERS)
WEIGHTS_RANK = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 4}


def count_macs(kind: str, inputs: Shapes, output: Tensor) -> int:
    """Return the MACs of an operation; 0 for kinds that do not multiply and accumulate."""
    counter = _COUNTERS.get(kind)
    return counter(inputs, output) if counter else 0


def _shape(inputs: Shapes, place: int) -> tuple[int, ...]:
    tensor = inputs[place]
    if tensor is None:
        raise IndexError(f"input {place} is absent")
    return tensor.shape
