"""The memory model and the vendor's rule against published reports of the vendor's compiler, where they are at hand.

The reports: five convolutions of F filters on a map of 64 x 64 x 3, on 1, 2 and 4 TPUs. In public files of the study
every output has a scale of its own, and all biases are zero.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from segsolve.device.memory import stored_bytes
from segsolve.device.model import MIB, load_device
from segsolve.graph.model import Graph, Op, Quantisation, Tensor
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.baselines.compiler import segment
from tests.models import Net
from tests.shared import MEASUREMENTS

DEVICE = load_device("edgetpu-usb")
REPORTS = MEASUREMENTS / "conv_sweep.csv"
Report = dict[str, str]


def reports(tpus: int, split: str) -> list[Report]:
    if not REPORTS.exists():
        pytest.skip(f"{REPORTS.name} is not at hand; set SEGSOLVE_EDGETPU")
    with REPORTS.open(newline="", encoding="utf-8") as stream:
        return [r for r in csv.DictReader(stream) if (r["n_tpus"], r["split"]) == (str(tpus), split)]


def published(report: Report) -> list[float]:
    """Return the MiB of each segment's weights, on chip and off."""
    on, off = ([float(x) for x in report[f"{where}_mib_per_segment"].split("|")] for where in ("onchip", "offchip"))
    return [a + b for a, b in zip(on, off, strict=True)]


def tolerance(mib: float) -> float:
    """What rounding leaves open: on and off chip are rounded apart, to 0.01 KiB below 1 MiB, to 0.01 MiB above."""
    return 0.0001 if mib < 1 else 0.0101


def agree(sizes: Sequence[float], expected: Sequence[float]) -> bool:
    return all(abs(a - b) <= tolerance(b) for a, b in zip(sizes, expected, strict=True))


@cache
def five_convolutions(filters: int, size: int = 64) -> Graph:
    """Return the graph alone; `test_the_graph_is_that_of_a_file` holds it against the reader."""
    tensors: list[Tensor] = []

    def tensor(name: str, shape: tuple[int, ...], dtype: str = "INT8", *, constant: bool = False) -> int:
        bytes_per_element = 4 if dtype == "INT32" else 1
        nbytes = bytes_per_element
        for n in shape:
            nbytes *= n
        scales = tuple(0.05 + 0.001 * i for i in range(shape[0])) if constant else (0.05,)
        scale = Quantisation(scales=scales, zero_points=(0,) * len(scales), axis=0)
        tensors.append(
            Tensor(
                index=len(tensors), name=name, dtype=dtype, shape=shape, nbytes=nbytes, quantisation=scale,
                constant=constant, variable=False, dynamic=False,
            )
        )  # fmt: skip
        return len(tensors) - 1

    ops: list[Op] = []
    x, channels = tensor("input", (1, size, size, 3)), 3
    for position in range(5):
        weights = tensor("weights", (filters, 3, 3, channels), constant=True)
        bias = tensor("bias", (filters,), "INT32", constant=True)
        output = tensor(f"conv_{position}", (1, size, size, filters))
        ops.append(
            Op(
                position=position, file_index=position, kind="CONV_2D", name=f"conv_{position}", inputs=(x,),
                outputs=(output,), constants=(weights, bias), constant_operators=(), weights=weights, bias=bias,
                weight_bytes=tensors[weights].nbytes + tensors[bias].nbytes,
                macs=size * size * filters * 9 * channels, zero_bias=True,
            )
        )  # fmt: skip
        x, channels = output, filters
    return Graph(
        name="five", sha256="", file_bytes=0, ops=tuple(ops), tensors=tuple(tensors), inputs=(0,), outputs=(x,),
        restrictions=(), frozen_batch=False,
    )  # fmt: skip


def stored(filters: int) -> list[int]:
    graph = five_convolutions(filters)
    return [stored_bytes(DEVICE, graph, op) for op in graph.ops]


def test_the_graph_is_that_of_a_file(tmp_path: Path) -> None:
    net = Net()
    x = net.input((1, 4, 4, 3))
    for _ in range(5):
        x = net.conv(x, 32)
    read, made = net.load(tmp_path, x).graph, five_convolutions(32, size=4)
    for theirs, ours in zip(read.ops, made.ops, strict=True):
        assert (theirs.inputs, theirs.outputs, theirs.constants) == (ours.inputs, ours.outputs, ours.constants)
        assert (theirs.weight_bytes, theirs.macs) == (ours.weight_bytes, ours.macs)
    device = replace(DEVICE, bias_bytes=0)
    assert [stored_bytes(device, read, op) for op in read.ops] == [stored_bytes(DEVICE, made, op) for op in made.ops]


@pytest.mark.parametrize(("tpus", "split"), [(1, "none"), (2, "compiler"), (4, "compiler")])
def test_stored_bytes_are_those_of_the_reports_to_their_last_digit(tpus: int, split: str) -> None:
    found = reports(tpus, split)
    assert len(found) > 60
    for report in found:
        sizes = stored(int(report["filters"]))
        expected = published(report)
        candidates = [
            [sum(sizes[a:b]) / MIB for a, b in pairwise((0, *c, 5))] for c in combinations(range(1, 5), tpus - 1)
        ]
        assert any(agree(candidate, expected) for candidate in candidates), report


@pytest.mark.parametrize("tpus", [2, 4])
def test_the_vendor_s_rule_gives_every_published_split(tpus: int) -> None:
    for report in reports(tpus, "compiler"):
        filters = int(report["filters"])
        problem = AnalyticCosts(graph=five_convolutions(filters), device=DEVICE).problem(tpus=tpus)
        cuts = segment(problem)
        sizes = [sum(stored(filters)[a:b]) / MIB for a, b in pairwise((0, *cuts, 5))]
        expected = published(report)
        assert agree(sizes, expected), (filters, cuts)
