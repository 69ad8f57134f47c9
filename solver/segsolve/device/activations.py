"""On-chip memory of activations: each tile holds its part of every map that is alive, with the margin that it reads."""

from __future__ import annotations

from math import isqrt

from segsolve.device.memory import POOL_WINDOW, round_up
from segsolve.device.model import Device
from segsolve.graph.model import Graph, Op

TILE_BYTES = 196_608
"""What a tile has for activations, the largest in 249 public compiled files; 3 MiB over 16 tiles."""
_ELSE_BYTES = 6_144  # of a tile beside a map that it holds whole: 4,800 to 7,392, by the convolution sweep


def tile_bytes(device: Device, graph: Graph, first: int = 0, end: int | None = None) -> int:
    """Return the bytes of a tile that the activations of the operations `first` to `end` (exclusive) take.

    The largest sum, over the operations, of the parts of all maps that are alive there. Exact for public files of
    MobileNet v2 and of the convolution sweep up to 300 filters. Beyond `TILE_BYTES`, and in large images below it, the
    compiler runs the first layers in stripes, and may keep tensors in the host's memory: no rule is known for that.
    """
    last = len(graph.ops) if end is None else end
    most = 0
    for op in graph.ops[first:last]:
        made = [t for o in graph.ops[first : op.position] for t in o.outputs]
        alive = {t for t in (*made, *graph.inputs) if any(op.position <= c < last for c in graph.consumers.get(t, ()))}
        most = max(most, sum(_part(device, graph, t, last) for t in alive | set(op.inputs) | set(op.outputs)))
    return most


def is_held(device: Device, graph: Graph, tensor: int) -> bool:
    """Return whether the tiles can hold a map whole, with the margins that its readers need.

    In the convolution sweep, maps of 64 x 64 pixels that come from the host take longer from 592 channels on, whether
    or not weights stream.
    """
    return _part(device, graph, tensor, len(graph.ops)) + _ELSE_BYTES <= TILE_BYTES


def stripes(device: Device, graph: Graph, op: Op) -> int:
    """Return in how many stripes of rows the maps of an operation go through, the fewest that tiles have memory for.

    A tile holds its part of a stripe of the input, with the margin that it reads, beside that of the output.
    """
    source, target = op.inputs[0], op.outputs[0]
    if any(len(graph.tensors[t].shape) != 4 for t in (source, target)):
        return 1
    side = isqrt(device.tiles)
    rows, columns = (-(-n // side) for n in graph.tensors[target].shape[1:3])
    channels = [round_up(graph.tensors[t].shape[3], device.input_multiple) for t in (source, target)]
    across = _reach(graph, op, source, 2, columns)
    for count in range(1, rows):
        height = -(-rows // count)
        reads = _reach(graph, op, source, 1, height) * across * channels[0]
        if reads + height * columns * channels[1] <= TILE_BYTES:
            return count
    return max(1, rows)


def _part(device: Device, graph: Graph, tensor: int, last: int) -> int:
    """Return the bytes of a tile's part of a map, as large as its most demanding reader before `last` needs."""
    shape = graph.tensors[tensor].shape
    if len(shape) != 4:
        return round_up(graph.tensors[tensor].nbytes, 4) // device.tiles if shape else 0
    side = isqrt(device.tiles)
    rows, columns = (-(-n // side) for n in shape[1:3])
    for op in (graph.ops[c] for c in graph.consumers.get(tensor, ()) if c < last):
        rows = max(rows, _read(graph, op, tensor, 1, side))
        columns = max(columns, _read(graph, op, tensor, 2, side))
    return rows * columns * round_up(shape[3], device.input_multiple)


def _read(graph: Graph, op: Op, tensor: int, axis: int, side: int) -> int:
    """Return the rows (axis 1) or columns (axis 2) that a tile of an operation's output reads of a map."""
    target = graph.tensors[op.outputs[0]].shape
    return _reach(graph, op, tensor, axis, -(-target[axis] // side)) if len(target) == 4 else 0


def _reach(graph: Graph, op: Op, tensor: int, axis: int, outputs: int) -> int:
    """Return the rows or columns of a map that so many of an operation's output are made of."""
    source, target = graph.tensors[tensor].shape, graph.tensors[op.outputs[0]].shape
    if len(target) != 4 or not target[axis]:
        return 0
    stride = max(1, round(source[axis] / target[axis]))
    if op.weights is not None and op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        window = (graph.tensors[op.weights].shape[axis] - 1) * op.dilation[axis - 1] + 1
    elif op.kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D"):
        window = stride if stride > 1 else POOL_WINDOW
    else:
        return 0
    return min(source[axis] + window - 1, (outputs - 1) * stride + window)
