"""Graphs like the public device placement instances, generated: the same shapes, sizes and proportions of cost.

The instances of "Efficient Algorithms for Device Placement of DNN Graph Operators" (NeurIPS 2020) are not part of this
repository. What is written here are facts of their structure: InceptionV3 with one node per convolution, normalisation
and activation (326 nodes, batch 128), and BERT with one node per operator, constants included (783 nodes, 12 layers of
768, sequences of 384).
"""

from __future__ import annotations

import random
from typing import Any

MEMORY = 16 * 2**30
GRAPH_NAMES = ("inceptionv3-like", "bert-like")


def graph(name: str) -> dict[str, Any]:
    """Return a graph by name, as the content of its file."""
    made = inception() if name == "inceptionv3-like" else bert()
    return {"maxSizePerFPGA": float(MEMORY), "maxFPGAs": 6, "maxCPUs": 1, "nodes": made.nodes, "edges": made.edges()}


class _Graph:
    """Nodes so far; each knows the bytes that it hands on."""

    def __init__(self, seed: int, bytes_per_ms: float, cpu_factor: float) -> None:
        self._rng = random.Random(seed)
        self._bytes_per_ms, self._cpu_factor = bytes_per_ms, cpu_factor
        self.nodes: list[dict[str, Any]] = []
        self._reads: list[tuple[int, int]] = []
        self._bytes: list[float] = []

    def node(self, name: str, ms: float, nbytes: float, *reads: int, size: float = 0.0, colour: int = -1) -> int:
        """Add a node that reads others; a measured time scatters by some percent. Return its id."""
        here = len(self.nodes)
        time = ms * self._rng.uniform(0.95, 1.05)
        self.nodes.append(
            {
                "id": here,
                "name": name,
                "supportedOnFpga": 1,
                "cpuLatency": time * self._cpu_factor,
                "fpgaLatency": time,
                "isBackwardNode": 0,
                "colorClass": here if colour < 0 else colour,
                "size": size or nbytes,
            }
        )
        self._bytes.append(nbytes)
        self._reads += [(before, here) for before in reads]
        return here

    def edges(self) -> list[dict[str, Any]]:
        return [
            {"sourceId": a, "destId": b, "cost": self._bytes[a] / self._bytes_per_ms, "size": self._bytes[a]}
            for a, b in self._reads
        ]


class _Inception(_Graph):
    """Maps of `side` x `side`, batch 128, four bytes a value."""

    def __init__(self) -> None:
        super().__init__(seed=3, bytes_per_ms=2**31, cpu_factor=10.0)

    def conv(self, before: int, channels: tuple[int, int], kernel: tuple[int, int], side: int) -> int:
        """Add convolution, normalisation and activation."""
        nbytes = 4 * 128 * side * side * channels[1]
        macs = 128 * side * side * channels[0] * channels[1] * kernel[0] * kernel[1]
        here = self.node("conv", 0.25 + macs / 7e9, nbytes, before)
        here = self.node("norm", 0.2 + nbytes / 9e7, nbytes, here)
        return self.node("relu", 0.2 + nbytes / 1.6e8, nbytes, here)

    def convs(self, before: int, steps: list[tuple[int, tuple[int, int]]], width: int, side: int) -> int:
        """Add convolutions one after the other, each given its output channels and kernel."""
        for channels, kernel in steps:
            before = self.conv(before, (width, channels), kernel, side)
            width = channels
        return before

    def other(self, name: str, ms: float, side: int, channels: int, *reads: int) -> int:
        return self.node(name, ms, 4 * 128 * side * side * channels, *reads)


ONE, THREE, FIVE, ROW, COLUMN = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


def inception() -> _Graph:
    g = _Inception()
    here = g.other("input", 0.0, 299, 3)
    here = g.other("scale", 0.0, 299, 3, here)
    here = g.other("shift", 0.0, 299, 3, here)
    here = g.convs(here, [(32, THREE)], 3, 149)
    here = g.convs(here, [(32, THREE), (64, THREE)], 32, 147)
    here = g.other("pool", 2.0, 73, 64, here)
    here = g.convs(here, [(80, ONE)], 64, 73)
    here = g.convs(here, [(192, THREE)], 80, 71)
    here = g.other("pool", 1.5, 35, 192, here)
    width = 192
    for pooled in (32, 64, 64):
        here = _block(
            g, here, width, 35, [[(64, ONE)], [(48, ONE), (64, FIVE)], [(64, ONE), (96, THREE), (96, THREE)]], pooled
        )
        width = 224 + pooled
    here = _reduction(g, here, width, 17, [[(384, THREE)], [(64, ONE), (96, THREE), (96, THREE)]])
    for c in (128, 160, 160, 192):
        long = [(c, ONE), (c, COLUMN), (c, ROW), (c, COLUMN), (192, ROW)]
        here = _block(g, here, 768, 17, [[(192, ONE)], [(c, ONE), (c, ROW), (192, COLUMN)], long], 192)
    _auxiliary(g, here)
    here = _reduction(
        g, here, 768, 8, [[(192, ONE), (320, THREE)], [(192, ONE), (192, ROW), (192, COLUMN), (192, THREE)]]
    )
    for width in (1280, 2048):
        here = _wide_block(g, here, width)
    here = g.other("pool", 0.4, 1, 2048, here)
    here = g.other("drop", 0.3, 1, 2048, here)
    size = g.other("size", 0.0, 1, 1, here)
    here = g.other("view", 0.0, 1, 2048, here, size)
    g.node("dense", 0.5, 4 * 128 * 1000, here)
    return g


def _block(
    g: _Inception, before: int, width: int, side: int, branches: list[list[tuple[int, tuple[int, int]]]], pooled: int
) -> int:
    ends = [g.convs(before, steps, width, side) for steps in branches]
    pool = g.other("pool", 1.0, side, width, before)
    ends.append(g.convs(pool, [(pooled, ONE)], width, side))
    return g.other("concat", 0.0, side, pooled + sum(steps[-1][0] for steps in branches), *ends)


def _reduction(
    g: _Inception, before: int, width: int, side: int, branches: list[list[tuple[int, tuple[int, int]]]]
) -> int:
    ends = [g.convs(before, steps, width, side) for steps in branches]
    ends.append(g.other("pool", 0.7, side, width, before))
    return g.other("concat", 0.0, side, width + sum(steps[-1][0] for steps in branches), *ends)


def _wide_block(g: _Inception, before: int, width: int) -> int:
    ends = [g.convs(before, [(320, ONE)], width, 8)]
    for steps in ([(384, ONE)], [(448, ONE), (384, THREE)]):
        fork = g.convs(before, steps, width, 8)
        tips = [g.convs(fork, [(384, kernel)], 384, 8) for kernel in ((1, 3), (3, 1))]
        ends.append(g.other("concat", 0.0, 8, 768, *tips))
    pool = g.other("pool", 0.8, 8, width, before)
    ends.append(g.convs(pool, [(192, ONE)], width, 8))
    return g.other("concat", 0.0, 8, 2048, *ends)


def _auxiliary(g: _Inception, before: int) -> None:
    here = g.other("pool", 0.7, 5, 768, before)
    here = g.convs(here, [(128, ONE)], 768, 5)
    here = g.convs(here, [(768, FIVE)], 128, 1)
    g.node("dense", 0.3, 4, here)


HIDDEN = 4 * 768 * 3072
SCORES, WIDE = 8 * HIDDEN, 16 * HIDDEN // 3


class _Bert(_Graph):
    """Operators of a transformer; constants are nodes too, and cost nothing but memory."""

    def __init__(self) -> None:
        super().__init__(seed=12, bytes_per_ms=2**31 / 1000, cpu_factor=23.0)
        self._colour = 10_000

    def op(self, name: str, ms: float, nbytes: float, *reads: int, constants: tuple[float, ...] = ()) -> int:
        """Add an operator and the constants that it reads, given their bytes."""
        held = [self.node("constant", 0.0, size) for size in constants]
        return self.node(name, ms, nbytes, *reads, *held)

    def several(
        self, name: str, ms: float, nbytes: float, outputs: int, *reads: int, constants: tuple[float, ...] = ()
    ) -> int:
        """Add an operator with several outputs, which are nodes of its colour; return the first, that others read."""
        self._colour += 1
        held = [self.node("constant", 0.0, size, colour=self._colour) for size in constants]
        maker = self.node(name, ms, 0.125, *reads, *held, colour=self._colour)
        first, *_ = (self.node(f"{name} output", 0.0, nbytes, maker, colour=self._colour) for _ in range(outputs))
        return first

    def norm(self, *reads: int) -> int:
        return self.several("norm", 1.179, HIDDEN, 3, *reads, constants=(3072.0, 3072.0))

    def drop(self, ms: float, nbytes: float, *reads: int) -> int:
        return self.several("drop", ms, nbytes, 2, *reads)

    def dense(self, before: int) -> int:
        here = self.op("matmul", 0.509, HIDDEN, before, constants=(2359296.0,))
        return self.op("add", 0.294, HIDDEN, here, constants=(3072.0,))

    def head(self, before: int) -> int:
        here = self.op("reshape", 0.146, HIDDEN, self.dense(before))
        return self.op("transpose", 0.294, HIDDEN, here)


def bert(layers: int = 12) -> _Graph:
    g = _Bert()
    mask = _mask(g)
    here = _embeddings(g)
    for _ in range(layers):
        here = _layer(g, here, mask)
    here = g.norm(here)
    _classes(g, here)
    return g


def _layer(g: _Bert, before: int, mask: int) -> int:
    normed = g.norm(before)
    query, key, value = g.head(normed), g.head(normed), g.head(normed)
    scores = g.op("matmul", 3.346, SCORES, query, key)
    scores = g.op("div", 3.531, SCORES, scores)
    scores = g.op("add", 2.352, SCORES, scores, mask)
    scores = g.op("softmax", 3.531, SCORES, scores)
    scores = g.drop(2.388, SCORES, scores)
    here = g.op("matmul", 17.541, HIDDEN, scores, value)
    here = g.op("reshape", 0.146, HIDDEN, g.op("transpose", 0.294, HIDDEN, here))
    here = g.op("add", 0.294, HIDDEN, g.drop(0.299, HIDDEN, g.dense(here)), normed)
    normed = g.norm(here)
    here = g.op("matmul", 2.714, WIDE, normed, constants=(12582912.0,))
    here = g.op("add", 1.568, WIDE, here, constants=(16384.0,))
    here = g.op("gelu", 2.354, WIDE, here)
    here = g.op("matmul", 2.079, HIDDEN, here, constants=(12582912.0,))
    here = g.op("add", 0.294, HIDDEN, here, constants=(3072.0,))
    return g.op("add", 0.294, HIDDEN, g.drop(0.299, HIDDEN, here), normed)


def _mask(g: _Bert) -> int:
    here = g.op("mask", 0.0, 24576.0)
    for name in ("unsqueeze",):
        here = g.op(name, 0.001, 24576.0, here)
    here = g.op("sub", 0.002, 24576.0, here, constants=(4.0,))
    return g.op("mul", 0.002, 24576.0, here, constants=(4.0,))


def _embeddings(g: _Bert) -> int:
    ids = g.op("ids", 0.0, 24576.0)
    sums = [g.op("gather", 0.35, HIDDEN, ids, constants=(size,)) for size in (93782016.0, 1572864.0, 6144.0)]
    here = g.op("add", 0.441, HIDDEN, sums[0], sums[1])
    here = g.op("add", 0.441, HIDDEN, here, sums[2])
    return g.drop(0.299, HIDDEN, here)


def _classes(g: _Bert, before: int) -> None:
    pooled = g.op("gather", 0.004, 18432.0, before, constants=(8.0,))
    pooled = g.op("matmul", 0.01, 18432.0, pooled, constants=(2359296.0,))
    pooled = g.op("tanh", 0.002, 18432.0, g.op("add", 0.001, 18432.0, pooled, constants=(3072.0,)))
    g.op("add", 0.001, 48.0, g.op("matmul", 0.001, 48.0, pooled, constants=(6144.0,)), constants=(8.0,))
    here = g.dense(before)
    here = g.norm(g.op("gelu", 0.441, HIDDEN, here))
    table = g.op("transpose", 1.5, 93782016.0, constants=(93782016.0,))
    here = g.op("matmul", 55.0, 375128064.0, here, table)
    g.op("add", 11.7, 375128064.0, here, constants=(122112.0,))
