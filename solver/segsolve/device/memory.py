"""Bytes that a layer's parameters occupy, on chip or in the stream from the host.

Byte-exact where the compiler's logs are (README of the solver): the weights are stored for an array of 4 input
by 64 output lanes, and every output channel carries its bias and its requantisation. Which of them stay on chip
follows from `scratch_bytes`, `input_scratch_bytes` and `cache_key`; benchmarks/calibration holds all against the
published logs.
"""

from __future__ import annotations

from math import isqrt, prod

from segsolve.device.model import Device
from segsolve.graph.model import Graph, Op, Tensor

# Kinds whose weights the compiler keeps on chip when they fit. Constants of other kinds (the MUL and ADD of a batch
# normalisation that was not folded) were streamed in every published log, however much memory was left.
CACHED_KINDS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


POOL_WINDOW = 3  # of every published average pool that moves pixel by pixel; the graph does not carry it


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def stored_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of an operation's parameters as the compiler stores them."""
    if op.kind not in CACHED_KINDS or op.weights is None or op.weights in op.inputs:
        constants = sum(t.nbytes for t in (graph.tensors[i] for i in op.constants) if t.quantised)
        return device.tiles * constants  # a copy for every tile of the chip
    weights = graph.tensors[op.weights]
    inputs = round_up(weights.shape[-1], device.input_multiple)
    if op.kind == "DEPTHWISE_CONV_2D":  # [1, kh, kw, C]; a lane group of inputs serves one channel
        kernel, outputs, inputs = weights.shape[1] * weights.shape[2], weights.shape[3], device.input_multiple
    elif op.kind == "FULLY_CONNECTED":  # [Nout, Nin]
        kernel, outputs = 1, weights.shape[0]
    else:  # [Cout, kh, kw, Cin]
        kernel, outputs = weights.shape[1] * weights.shape[2], weights.shape[0]
    padded = round_up(outputs, device.output_multiple)
    return kernel * inputs * padded + _channel_bytes(device, op, weights) * padded


def largest_map_bytes(graph: Graph, op: Op) -> int:
    """Return the bytes of an operation's largest activation, its feature map."""
    return max((graph.tensors[t].nbytes for t in (*op.inputs, *op.outputs)), default=0)


def streamed_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of an operation's parameters in the stream from the host, where they do not stay on chip.

    The same as on chip, but that a narrow convolution is not padded to the full width of the array.
    """
    stored = stored_bytes(device, graph, op)
    if op.kind != "CONV_2D" or op.weights is None or op.weights in op.inputs:
        return stored
    outputs, *kernel, inputs = graph.tensors[op.weights].shape
    unused = round_up(outputs, device.output_multiple) - round_up(outputs, device.narrow_multiple)
    if outputs > device.narrow_multiple:
        return stored
    return stored - prod(kernel) * round_up(inputs, device.input_multiple) * unused


def scratch_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the on-chip bytes that an operation's activations take away from the weights of its segment.

    Large maps go through the chip in stripes, so that they never take more than a stripe's buffer; windows that move
    pixel by pixel and are not padded, and average pools, hold their maps whole, tile by tile with its margin.
    """
    if op.kind == "FULLY_CONNECTED":
        return device.dense_bytes
    stripe = min(round(device.activation_factor * largest_map_bytes(graph, op)), device.stripe_bytes)
    return max(stripe, _whole_map_bytes(device, graph, op))


def input_scratch_bytes(device: Device, tensor: Tensor) -> int:
    """Return the on-chip bytes that a tensor takes away from the weights of a segment that takes it from the host.

    What comes from the host does not go through in stripes: it is held, for the most part, until it is used.
    """
    return round(device.input_factor * tensor.nbytes)


def cache_key(device: Device, graph: Graph, op: Op) -> tuple[int, int, int]:
    """Sort layers in the order in which the compiler caches them.

    First those whose weights are used least often, at the fewest positions of the map; the largest first among equals.
    """
    return positions(graph, op), -stored_bytes(device, graph, op), op.position


def positions(graph: Graph, op: Op) -> int:
    """Return the rows times columns of an operation's output, at each of which a convolution uses all its weights."""
    shape = graph.tensors[op.outputs[0]].shape if op.outputs else ()  # one that assigns a variable makes none
    return prod(shape[1:3]) if len(shape) == 4 else 1


def _whole_map_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of both maps of a window that moves pixel by pixel, each tile with the margin that it reads."""
    margin = _margin(graph, op)
    if margin == 0:
        return 0
    source, target = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    side = isqrt(device.tiles)
    rows, columns = (round_up(n, side) // side + margin for n in target.shape[1:3])
    return device.tiles * rows * columns * source.shape[3] + target.nbytes


def _margin(graph: Graph, op: Op) -> int:
    """Return the rows that a window reads beyond a tile of its output; 0 if its maps go through in stripes."""
    if op.kind not in ("AVERAGE_POOL_2D", "CONV_2D"):
        return 0
    lost = graph.tensors[op.inputs[0]].shape[1] - graph.tensors[op.outputs[0]].shape[1]
    if op.weights is None:
        return POOL_WINDOW - 1 if lost == 0 else 0
    overhang = graph.tensors[op.weights].shape[1] - 1
    return overhang if lost == overhang else 0  # without padding, a window loses all that it overhangs


def _channel_bytes(device: Device, op: Op, weights: Tensor) -> int:
    if op.kind == "FULLY_CONNECTED":
        return 0
    if weights.dtype == "UINT8":
        return device.channel_bytes["uint8"]
    per_channel = weights.quantisation is not None and weights.quantisation.per_channel
    return device.channel_bytes["int8-per-channel" if per_channel else "int8-per-tensor"]
