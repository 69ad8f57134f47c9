"""Time that an operation takes on the device with its weights on chip, and that transfers take."""

from __future__ import annotations

from math import ceil, prod

from segsolve.device.activations import is_held, stripes
from segsolve.device.memory import CACHED_KINDS, round_up, stored_bytes, streamed_bytes
from segsolve.device.model import Device
from segsolve.graph.model import Graph, Op, Tensor


def compute_ns(device: Device, graph: Graph, op: Op) -> int:
    """Return the time of an operation whose weights are on chip, in ns.

    A convolution fills an array of 64 output by 4 input lanes and 4 x 4 pixels; what does not fill it costs as much.
    Operations also pay for the bytes of the activations that they read and write. None takes less than its
    instructions, which come from the host meanwhile.
    """
    ns = device.activation_ns_per_byte * moved_bytes(device, graph, op)
    if op.weights is not None:
        padded = padded_macs(device, graph.tensors[op.weights], graph.tensors[op.outputs[0]], op.kind)
        per_mac = device.depthwise_ns_per_mac if op.kind == "DEPTHWISE_CONV_2D" else device.conv_ns_per_mac
        ns += per_mac * padded
    return round(max(ns, device.operation_ns))


def moved_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of activations that an operation is charged for reading and writing.

    None for the MUL and ADD of a normalisation: the same network with and without takes the same time, but for the
    stream of its constants.
    """
    if op.kind not in CACHED_KINDS and stored_bytes(device, graph, op) > 0:
        return 0
    return sum(graph.tensors[t].nbytes for t in (*op.inputs, *op.outputs))


def host_ns(device: Device, graph: Graph, op: Op) -> int:
    """Return the time of an operation that falls back to the host's CPU, in ns."""
    moved = sum(graph.tensors[t].nbytes for t in (*op.inputs, *op.outputs))
    return round(device.host_ns_per_mac * op.macs + device.host_ns_per_byte * moved)


def streamed_ns(device: Device, graph: Graph, op: Op) -> int:
    """Return the time of an operation whose weights come from the host at every inference, in ns.

    A layer's stream hides its arithmetic, or the reverse. The maps of a large layer go through the chip in stripes,
    and its weights come again for each. Constants of other operations are waited for.
    """
    compute, nbytes = compute_ns(device, graph, op), streamed_bytes(device, graph, op)
    if op.kind not in CACHED_KINDS:
        return compute + ceil(device.stream_ns_per_byte * nbytes)
    return max(compute, ceil(device.stream_ns_per_byte * nbytes * passes(device, graph, op)))


def passes(device: Device, graph: Graph, op: Op) -> int:
    """Return how often the weights of a layer come from the host in one inference, if they do not stay on chip.

    Once where the tiles hold both maps, as in all public compiled files that stream; those of the convolution sweep do
    not, and were waited for twice in each stripe.
    """
    count = stripes(device, graph, op)
    return 1 if count == 1 else device.stripe_passes * count


def input_ns(device: Device, graph: Graph, tensor: int) -> int:
    """Return the time to bring a tensor from the host to the device, in ns.

    One that the tiles cannot hold whole takes longer: they are sent some of it again.
    """
    nbytes = graph.tensors[tensor].nbytes
    again = 0.0 if is_held(device, graph, tensor) else device.again_ns_per_byte
    return _transfer_ns(device, device.input_ns_per_byte + again, nbytes)


def output_ns(device: Device, nbytes: int) -> int:
    """Return the time to bring a tensor of `nbytes` from the device to the host, in ns."""
    return _transfer_ns(device, device.output_ns_per_byte, nbytes)


def _transfer_ns(device: Device, ns_per_byte: float, nbytes: int) -> int:
    beyond = max(0, nbytes - device.large_bytes)
    return ceil(device.transfer_ns + ns_per_byte * nbytes + device.large_ns_per_byte * beyond)


def padded_macs(device: Device, weights: Tensor, output: Tensor, kind: str) -> int:
    """Return the multiply-accumulates of a layer on the array, those that its padding wastes included."""
    rows_and_columns = output.shape[1:3] if len(output.shape) == 4 else (1, 1)
    pixels = prod(round_up(n, device.map_multiple) for n in rows_and_columns)
    if kind == "DEPTHWISE_CONV_2D":  # [1, kh, kw, C]
        return prod(weights.shape[1:3]) * round_up(weights.shape[3], device.output_multiple) * pixels
    outputs = round_up(weights.shape[0], device.output_multiple)
    return prod(weights.shape[1:-1]) * round_up(weights.shape[-1], device.input_multiple) * outputs * pixels
