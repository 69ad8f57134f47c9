"""Bytes that a layer's parameters occupy, on chip or in the stream from the host.

Byte-exact where the compiler's logs are (README of the solver): the weights are stored for an array of 4 input
by 64 output lanes, and every output channel carries its bias and its requantisation.
"""

from __future__ import annotations

from segsolve.device.model import Device
from segsolve.graph.model import Graph, Op, Tensor

# Kinds whose weights the compiler keeps on chip when they fit. Constants of other kinds (the MUL and ADD of a batch
# normalisation that was not folded) were streamed in every published log, however much memory was left.
CACHED_KINDS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def stored_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of an operation's parameters as the compiler stores them."""
    if op.kind not in CACHED_KINDS or op.weights is None:
        return sum(t.nbytes for t in (graph.tensors[i] for i in op.constants) if t.quantised)
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


def scratch_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the on-chip bytes that an operation's activations take away from the weights of its segment."""
    return round(device.activation_factor * largest_map_bytes(graph, op))


def _channel_bytes(device: Device, op: Op, weights: Tensor) -> int:
    if op.kind == "FULLY_CONNECTED":
        return 0
    if weights.dtype == "UINT8":
        return device.channel_bytes["uint8"]
    per_channel = weights.quantisation is not None and weights.quantisation.per_channel
    return device.channel_bytes["int8-per-channel" if per_channel else "int8-per-tensor"]
