"""Small networks, each with something that cutting may get wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.models import Net, residual_net

SHAPE = (1, 4, 4, 8)


def residual() -> Net:
    return residual_net()


def constants_on_the_way() -> Net:
    """Operators on constants: one for two consumers far apart, a chain of two, and a float end behind them."""
    net = Net(1)
    image = net.input()
    half = net.rng.uniform(-1, 1, SHAPE).astype(np.float16)
    shared = net.dequantize(net.constant(half))
    chain = net.op("QUANTIZE", [net.dequantize(net.constant(half[..., ::-1]))], SHAPE, kind="INT8")
    x = net.add(net.conv(image), chain)
    y = net.op("ADD", [net.dequantize(x), shared], SHAPE, {})
    y = net.op("RELU", [y], SHAPE)
    net.graph.outputs = [net.op("MUL", [y, shared], SHAPE, {})]
    return net


def branches() -> Net:
    """A concatenation of four, outputs made early and read later, a tensor that is read by all, one factor twice."""
    net = Net(2)
    x = net.conv(net.input())
    factor = net.constant(net.rng.integers(1, 127, 8, dtype=np.int8), scale=0.01)
    parts = [net.conv(x, size=1), net.depthwise(x), net.mul(x, factor), net.relu(x)]
    y = net.concat(*parts)
    z = net.conv(y, size=1)
    net.graph.outputs = [parts[1], net.dense(net.mul(z, factor), 6), x]
    return net


def odd_ends() -> Net:
    """An input handed through, an input that nobody reads, an output listed twice, an operation in vain, odd names."""
    net = Net(3)
    image, _, passed = net.input(), net.input(), net.input()
    x = net.conv(image)
    y = net.relu(x)
    net.mul(x)
    z = net.add(y, passed)
    net.graph.outputs = [z, passed, z]
    for tensor, name in ((image, b""), (x, b"same"), (y, b"same"), (z, None), (passed, b"same#5")):
        net.graph.tensors[tensor].name = name
    return net


def an_operation_from_constants() -> Net:
    """An output that follows from constants alone, and is read, too."""
    net = Net(4)
    x = net.conv(net.input())
    constant = net.constant(net.rng.integers(-99, 99, SHAPE, dtype=np.int8), scale=0.05)
    made = net.add(constant, constant)
    net.graph.outputs = [net.add(x, made), made]
    return net


def unsigned() -> Net:
    net = Net(5)
    x = net.input(kind="UINT8")
    for _ in range(2):
        y = net.conv(x, per_channel=False, kind="UINT8")
        x = net.add(net.depthwise(y, per_channel=False, kind="UINT8"), x)
    net.graph.outputs = [x]
    return net


def open_batch() -> Net:
    net = residual_net(6)
    for tensor in net.graph.tensors:
        if len(tensor.shape) == 4 and tensor.buffer == 0:
            tensor.shapeSignature = np.array([-1, *tensor.shape[1:]], np.int32)
    return net


NETWORKS: tuple[Callable[[], Net], ...] = (
    residual, constants_on_the_way, branches, odd_ends, an_operation_from_constants, unsigned, open_batch,
)  # fmt: skip
