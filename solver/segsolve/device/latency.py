"""Time that an operation takes on the device with its weights on chip, and that transfers take."""

from __future__ import annotations

from math import ceil, prod

from segsolve.device.memory import round_up
from segsolve.device.model import Device
from segsolve.graph.model import Graph, Op, Tensor


def compute_ns(device: Device, graph: Graph, op: Op) -> int:
    """Return the time of an operation whose weights are on chip, in ns.

    A convolution fills an array of 64 output by 4 input lanes and 4 x 4 pixels; what does not fill it costs as much.
    Every operation pays for the bytes of the activations that it reads and writes.
    """
    activations = sum(graph.tensors[t].nbytes for t in (*op.inputs, *op.outputs))
    ns = device.activation_ns_per_byte * activations
    if op.weights is not None:
        padded = _padded_macs(device, graph.tensors[op.weights], graph.tensors[op.outputs[0]], op.kind)
        per_mac = device.depthwise_ns_per_mac if op.kind == "DEPTHWISE_CONV_2D" else device.conv_ns_per_mac
        ns += per_mac * padded
    return round(ns)


def transfer_ns(ns_per_byte: float, nbytes: int) -> int:
    """Return the time to move `nbytes` between host and device at a rate of the device, in ns."""
    return ceil(ns_per_byte * nbytes)


def _padded_macs(device: Device, weights: Tensor, output: Tensor, kind: str) -> int:
    rows_and_columns = output.shape[1:3] if len(output.shape) == 4 else (1, 1)
    pixels = prod(round_up(n, device.map_multiple) for n in rows_and_columns)
    if kind == "DEPTHWISE_CONV_2D":  # [1, kh, kw, C]
        return prod(weights.shape[1:3]) * round_up(weights.shape[3], device.output_multiple) * pixels
    outputs = round_up(weights.shape[0], device.output_multiple)
    return prod(weights.shape[1:-1]) * round_up(weights.shape[-1], device.input_multiple) * outputs * pixels
