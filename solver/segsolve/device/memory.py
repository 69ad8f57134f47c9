"""Bytes that a layer's parameters occupy on chip, in a compiled file and in the stream from the host.

The compiler lays weights out for an array of 4 input by 64 output lanes. On chip every group of outputs takes all 64;
files, and so the stream, are packed. Both are byte-exact where reports and public files are (tests and
benchmarks/calibration hold them against these). Which layers stay on chip follows from `scratch_bytes`,
`input_scratch_bytes`, `always_streams` and `cache_key`.
"""

from __future__ import annotations

from math import isqrt, prod

from segsolve.device.model import Device
from segsolve.graph.model import Graph, Op, Tensor

# Kinds whose weights the compiler keeps on chip when they fit. Constants of other kinds (the MUL and ADD of a batch
# normalisation that was not folded) were streamed in every published log, however much memory was left.
CACHED_KINDS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})


POOL_WINDOW = 3  # of every published average pool that moves pixel by pixel; the graph does not carry it
_ALIGNMENT = 64  # of a layer's parameters in a compiled file
_FEW, _NARROW, _WIDE = 4, 16, 64  # outputs up to which a file packs to 4: of any window, of larger ones; and to 16
_FEWEST_DEPTHWISE = 16  # channels that a depthwise layer is packed to at least
_SOFTMAX_CLASS_BYTES = 48  # compilers 14 to 16; none before. Three lines of 64 bytes for four classes
_TOGETHER = 16  # positions that are flattened at a time
_BIAS_BYTES = 4


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def stored_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of an operation's parameters on chip."""
    if not is_layer(op):
        return _constant_bytes(device, graph, op)
    assert op.weights is not None
    return _layer_bytes(device, graph, op, round_up(_outputs(graph, op), device.output_multiple))


def streamed_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of an operation's parameters in the stream from the host, where they do not stay on chip.

    The same as in a compiled file, but for the tables of a SOFTMAX, which never stream.
    """
    if not is_layer(op):
        return _constant_bytes(device, graph, op)
    return packed_bytes(device, graph, op)


def packed_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of an operation's parameters in a compiled file.

    Outputs are packed to multiples of 4, 16 or 64, by how many there are (`_narrow`). Exact on all 19 public pairs of
    a model and its compiled file.
    """
    if op.kind == "SOFTMAX":
        return _softmax_bytes(graph, op)
    if moved := _moved_channels(graph, op):
        return _moving_bytes(*moved)
    if not is_layer(op):
        return _constant_bytes(device, graph, op)
    outputs = _outputs(graph, op)
    if op.kind == "DEPTHWISE_CONV_2D":
        lanes = max(_FEWEST_DEPTHWISE, round_up(outputs, 4))
    elif outputs > _WIDE:
        lanes = round_up(outputs, device.output_multiple)
    else:
        lanes = round_up(outputs, 4 if outputs <= _narrow(graph, op) else 16)
    return _layer_bytes(device, graph, op, lanes)


def _narrow(graph: Graph, op: Op) -> int:
    """Return up to how many outputs of a layer a file packs to a multiple of 4.

    A dense layer none. A convolution of single pixels, which is much like one, four: projections of a DeepLab to 8 and
    12 channels are packed to 16, heads of a BodyPix of 1 to 4. Of larger windows 8 outputs are packed to 8.
    """
    if op.kind == "FULLY_CONNECTED":
        return 0
    assert op.weights is not None
    return _FEW if prod(graph.tensors[op.weights].shape[1:3]) == 1 else _NARROW


def is_layer(op: Op) -> bool:
    """Return whether an operation has weights that the compiler keeps on chip if they fit."""
    return op.kind in CACHED_KINDS and op.weights is not None and op.weights not in op.inputs


def always_streams(device: Device, graph: Graph, op: Op) -> bool:
    """Return whether parameters stream however much memory is left: constants, and dense layers of many inputs."""
    if op.kind == "FULLY_CONNECTED" and is_layer(op):
        assert op.weights is not None
        return graph.tensors[op.weights].shape[-1] > device.dense_inputs
    return op.kind not in CACHED_KINDS


def largest_map_bytes(graph: Graph, op: Op) -> int:
    """Return the bytes of an operation's largest activation, its feature map."""
    return max((graph.tensors[t].nbytes for t in (*op.inputs, *op.outputs)), default=0)


def scratch_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the on-chip bytes that an operation's activations take away from the weights of its segment.

    Large maps go through the chip in stripes, so that they never take more than a stripe's buffer; windows that move
    pixel by pixel and are not padded, and average pools, hold their maps whole, tile by tile with its margin.
    """
    image = image_scratch_bytes(device, graph)
    if op.kind == "FULLY_CONNECTED":
        return max(device.dense_bytes, image)
    stripe = min(round(device.activation_factor * largest_map_bytes(graph, op)), device.stripe_bytes)
    return max(stripe, image, _whole_map_bytes(device, graph, op))


def image_scratch_bytes(device: Device, graph: Graph) -> int:
    """Return the safe end of what a network of large images takes away from the weights of any of its segments.

    How much that is, is not known: a network of 768 x 768 pixels was left 3.91 MiB where smaller ones keep 7. The
    other end is nothing; `Device.optimistic` takes it.
    """
    if not is_large(device, graph):
        return 0
    return min(round(device.image_bytes_per_pixel * _pixels(graph)), device.image_most_bytes)


def is_large(device: Device, graph: Graph) -> bool:
    """Whether a network takes images so large that no rule is known for what they leave to the weights."""
    return _pixels(graph) > device.image_pixels


def _pixels(graph: Graph) -> int:
    """Return the pixels of the largest image that a network takes."""
    return max((prod(t.shape[1:3]) for t in (graph.tensors[i] for i in graph.inputs) if len(t.shape) == 4), default=0)


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
    source, target = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    if len(source) != 4 or len(target) != 4:  # no maps: nothing that LiteRT prepares
        return 0
    lost = source[1] - target[1]
    if op.weights is None:
        return POOL_WINDOW - 1 if lost == 0 else 0
    overhang = graph.tensors[op.weights].shape[1] - 1
    return overhang if lost == overhang else 0  # without padding, a window loses all that it overhangs


def _outputs(graph: Graph, op: Op) -> int:
    assert op.weights is not None
    shape = graph.tensors[op.weights].shape  # [Cout, kh, kw, Cin], [1, kh, kw, C] or [Nout, Nin]
    return shape[-1] if op.kind == "DEPTHWISE_CONV_2D" else shape[0]


def _layer_bytes(device: Device, graph: Graph, op: Op, lanes: int) -> int:
    """Return the bytes of a layer's weights and of what each of its outputs brings, for so many outputs."""
    assert op.weights is not None
    weights = graph.tensors[op.weights]
    kernel = prod(weights.shape[1:-1])
    # In a depthwise layer, a lane group of inputs serves one channel.
    inputs = 1 if op.kind == "DEPTHWISE_CONV_2D" else weights.shape[-1]
    each = kernel * round_up(inputs, device.input_multiple) + _channel_bytes(device, op, weights)
    return round_up(each * lanes, _ALIGNMENT)


def _channel_bytes(device: Device, op: Op, weights: Tensor) -> int:
    """Return the bytes beside the weights of an output: its bias, and its scale where the outputs' scales differ."""
    scales = weights.quantisation.scales if weights.quantisation else ()
    return device.scale_bytes * (len(set(scales)) > 1) + device.bias_bytes * (not op.zero_bias)


def _constant_bytes(device: Device, graph: Graph, op: Op) -> int:
    """Return the bytes of constants that are no layer's weights.

    Those that all places of a map share are copied to every tile of the chip. Of those that have a value for each place
    (the anchors of a YOLO) each tile gets its own part, for all channels of the map.
    """
    tensors = [graph.tensors[i] for i in op.constants]
    return sum(_copies_bytes(device, graph, op, t) for t in tensors if t.quantised)


def _copies_bytes(device: Device, graph: Graph, op: Op, constant: Tensor) -> int:
    whole = graph.tensors[op.outputs[0]] if op.outputs else constant
    places = prod(whole.shape[:-1])
    if 1 < places == prod(constant.shape[:-1]):
        return round_up(whole.nbytes, _ALIGNMENT)
    return device.tiles * constant.nbytes


def _softmax_bytes(graph: Graph, op: Op) -> int:
    """Return the tables of a SOFTMAX by classes; over the places of a map that was flattened, it has none."""
    shape = graph.tensors[op.inputs[0]].shape if op.inputs else ()
    if not shape or _flattened(graph, _maker(graph, op.inputs[0])):
        return 0
    return round_up(_SOFTMAX_CLASS_BYTES * round_up(shape[-1], 4), _ALIGNMENT)


def _moved_channels(graph: Graph, op: Op) -> tuple[int, int] | None:
    """Return the channels, in lanes of 4, that an operation reads and those that it writes where it moves them.

    Files have a convolution by ones and zeros where channels come to lie in other lanes: where parts that do not fill
    their lanes are joined, and where a map of one channel that the chip made is flattened, 16 places at a time.
    """
    if op.kind == "CONCATENATION":
        parts = [graph.tensors[t].shape for t in op.inputs]
        channels = [shape[-1] for shape in parts if shape]
        across = op.axis is not None and op.axis in (-1, len(parts[0]) - 1)
        moves = across and len(channels) == len(parts) and any(n % 4 for n in channels[:-1])
        return (sum(round_up(n, 4) for n in channels), sum(channels)) if moves else None
    places = _flattened(graph, op)
    if places and not _comes_in(graph, op.inputs[0]) and not _all_dense(graph, op.outputs[0]):
        together = min(places, _TOGETHER)
        return 4 * together, together
    return None


def _flattened(graph: Graph, op: Op | None) -> int:
    """Return the places of a map of one channel that an operation makes the channels of a vector; 0 if it does not."""
    if op is None or op.kind != "RESHAPE" or not op.inputs:
        return 0
    source, target = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    places = prod(source[1:3]) if len(source) == 4 and source[3] == 1 else 0
    return places if places > 1 and target[-1:] == (places,) else 0


def _comes_in(graph: Graph, tensor: int) -> bool:
    """Whether the host writes a tensor, and so lays it out: an input of the model, or one in other integers."""
    maker = _maker(graph, tensor)
    return maker is None or (maker.kind == "QUANTIZE" and _comes_in(graph, maker.inputs[0]))


def _all_dense(graph: Graph, tensor: int) -> bool:
    """Whether dense layers alone read a tensor: the order of their weights follows that of their inputs."""
    readers = graph.consumers.get(tensor, ())
    return bool(readers) and all(graph.ops[r].kind == "FULLY_CONNECTED" for r in readers)


def _maker(graph: Graph, tensor: int) -> Op | None:
    position = graph.producer.get(tensor, -1)
    return None if position < 0 else graph.ops[position]


def _moving_bytes(inputs: int, outputs: int) -> int:
    lanes = round_up(outputs, 16 if outputs <= _WIDE else 64)
    return round_up((inputs + _BIAS_BYTES) * lanes, _ALIGNMENT)
