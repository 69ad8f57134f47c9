"""Networks of a few operations as .tflite files: convolutions in a row, with sums and concatenations of branches."""

from __future__ import annotations

import random

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value
from segsolve.zoo.writer import write

SIDE = 8


def random_network(rng: random.Random, operations: int) -> bytes:
    """Return the content of a file with that many operations, one more where a branch is left to join."""
    net = Builder()
    open_ends = [net.conv("op0", net.input(SIDE, SIDE, 3), rng.choice((4, 8)), 3, activation="RELU")]
    for number in range(1, operations):
        open_ends = _grown(rng, net, f"op{number}", open_ends)
    end = open_ends[0] if len(open_ends) == 1 else net.concat("end", open_ends)
    return write("generated", net, end, seed=rng.randrange(1000))


def _grown(rng: random.Random, net: Builder, name: str, ends: list[Value]) -> list[Value]:
    """Add an operation to the ends of the network so far: join two, go on from one, or branch off it."""
    x = rng.choice(ends)
    others = [end for end in ends if end is not x]
    if others and rng.random() < 0.5:
        return [*others[1:], _joined(rng, net, name, x, others[0])]
    made = net.conv(name, x, rng.choice((4, 8, 16)), rng.choice((1, 3)), activation="RELU")
    return [*others, made, x] if len(ends) < 3 and rng.random() < 0.4 else [*others, made]


def _joined(rng: random.Random, net: Builder, name: str, x: Value, y: Value) -> Value:
    if x.shape == y.shape and rng.random() < 0.7:
        return net.add(name, x, y)
    return net.concat(name, [x, y])
