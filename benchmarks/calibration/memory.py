"""The memory model against the compiler's reports: stored sizes, what is left for weights, and what streams."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.calibration.measurements import Row, mib
from benchmarks.calibration.networks import KERAS, VENDOR, keras_graph, quantised, swept_graph, vendor_graph
from benchmarks.calibration.sweeps import sweep_device
from segsolve.cost.stage import StageScore, stage_score
from segsolve.device.memory import round_up, stored_bytes
from segsolve.device.model import MIB, Device
from segsolve.graph.model import Graph
from segsolve.profile.analytic import AnalyticCosts

CUTS = {  # the last layers of the parts of an 8-way split, published with the reports
    "resnet50": (
        *("conv4_block1_out", "conv4_block4_out", "conv4_block5_out", "conv4_block6_out"),
        *("conv5_block1_out", "conv5_block2_out", "conv5_block3_out"),
    ),
    "inceptionv3": tuple(f"mixed{i}" for i in range(4, 11)),
    "densenet201": (
        *("conv4_block14_concat", "conv4_block32_concat", "conv4_block44_concat", "pool4_pool"),
        *("conv5_block14_concat", "conv5_block25_concat", "avg_pool"),
    ),
}
EXACT_MIB = 0.012


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published figure and ours, in MiB."""

    what: str
    published: float
    predicted: float
    note: str = ""

    @property
    def error(self) -> float:
        """Return how far ours lies above the published one."""
        return self.predicted - self.published


def tails(rows: Sequence[Row], device: Device) -> list[Comparison]:
    """Compare what streams of each tail of a network: all its operations from the end of a part on."""
    found = []
    for row in rows:
        match = re.fullmatch(r"(\w+) K\d seg(\d)to8 \(tail of the network\)", row["model"])
        published = mib(row["offchip_mib"])
        if match and match[1] in KERAS and published is not None:
            graph = keras_graph(match[1])
            start = part_ends(graph, match[1])[int(match[2]) - 2]
            predicted = offchip_mib(device, graph, range(start, len(graph.ops)))
            found.append(Comparison(f"{match[1]} parts {match[2]} to 8", published, predicted))
    return found


def moved_cut(rows: Sequence[Row], device: Device) -> list[Comparison]:
    """Compare the one tail whose published figure fits another cut than the one named."""
    graph = keras_graph("inceptionv3")
    start = _after(graph, "mixed3")
    return [
        Comparison("inceptionv3 from mixed4's layers on", c.published, offchip_mib(device, graph, range(start, 125)))
        for c in tails(rows, device)
        if c.what == "inceptionv3 parts 2 to 8"
    ]


def segments(rows: Sequence[Row], device: Device) -> list[tuple[Comparison, ...]]:
    """Compare on-chip, left-over and off-chip memory of DenseNet-201's eight parts."""
    found = []
    graph = keras_graph("densenet201")
    ends = [0, *part_ends(graph, "densenet201"), len(graph.ops)]
    for row in rows:
        if match := re.fullmatch(r"DenseNet201 8-seg seg(\d)", row["model"]):
            part = int(match[1])
            # The seventh report has the weights of parts 7 and 8 together.
            stage = range(ends[part - 1], ends[8 if part == 7 else part])
            score = _score(device, graph, stage)
            figures = (
                ("on chip", row["onchip_used_mib"], score.onchip_bytes / MIB),
                ("capacity", row["onchip_capacity_mib"], score.capacity_bytes / MIB),
                ("off chip", row["offchip_mib"], offchip_mib(device, graph, stage)),
            )
            found.append(tuple(Comparison(f"densenet201 part {part}, {w}", float(p), ours) for w, p, ours in figures))
    return found


def stored(logs: Sequence[Row], conv: Sequence[Row], dense: Sequence[Row], device: Device) -> list[Comparison]:
    """Compare on-chip plus off-chip MiB of whole networks, with the channel constants that each origin shows."""
    found = []
    for row in conv:
        if row["n_tpus"] == "1":
            graph = swept_graph(int(row["filters"]))
            published = float(row["onchip_mib_per_segment"]) + float(row["offchip_mib_per_segment"])
            found.append(Comparison(f"conv sweep {row['filters']}", published, _stored(sweep_device(device), graph)))
    for row in dense:
        published = float(row["onchip_mib"]) + float(row["offchip_mib"])
        found.append(Comparison(f"dense sweep {row['hidden']}", published, sum(dense_layers(int(row["hidden"]))) / MIB))
    for row in logs:
        match = re.fullmatch(r"efficientnet-edgetpu-([SM])_quant", row["model"])
        on, off = mib(row["onchip_used_mib"]), mib(row["offchip_mib"])
        if match and on is not None and off is not None:
            key = f"efficientnet-edgetpu{match[1].lower()}"
            size = _stored(quantised(device, VENDOR[key]), vendor_graph(key))
            found.append(Comparison(row["model"], on + off, size, "12 bytes per channel"))
    return found


def dense_layers(units: int) -> list[int]:
    """Return the stored bytes of the layers of the dense sweep: 64 inputs, four layers of `units`, 10 outputs."""
    sizes = [(64, units), *[(units, units)] * 3, (units, 10)]
    return [round_up(a, 4) * round_up(b, 64) for a, b in sizes]


def dense_offchip(rows: Sequence[Row], device: Device) -> list[Comparison]:
    """Compare what streams in the dense sweep: largest layers first, each that still fits."""
    found = []
    for row in rows:
        free, streams = device.memory_bytes - device.reserved_bytes - device.dense_bytes, 0
        for size in sorted(dense_layers(int(row["hidden"])), reverse=True):
            free, streams = (free - size, streams) if size <= free else (free, streams + size)
        found.append(Comparison(f"dense sweep {row['hidden']}", float(row["offchip_mib"]), streams / MIB))
    return found


def part_ends(graph: Graph, name: str) -> list[int]:
    """Return the positions after the named last layers of the parts."""
    return [_after(graph, layer) for layer in CUTS[name]]


def offchip_mib(device: Device, graph: Graph, stage: range) -> float:
    """Return the MiB that a stage streams."""
    return _score(device, graph, stage).offchip_bytes / MIB


def as_rows(comparisons: Sequence[Comparison]) -> list[dict[str, object]]:
    """Return comparisons for a report."""
    return [asdict(c) | {"error": c.error} for c in comparisons]


def _score(device: Device, graph: Graph, stage: range) -> StageScore:
    return stage_score(AnalyticCosts(graph=graph, device=quantised(device)).problem(tpus=1), stage)


def _stored(device: Device, graph: Graph) -> float:
    return sum(stored_bytes(device, graph, op) for op in graph.ops) / MIB


def _after(graph: Graph, layer: str) -> int:
    return next(op.position for op in graph.ops if op.name == layer) + 1
