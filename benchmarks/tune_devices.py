"""How many segments tuning compiles and measures until its plan is proven, beside the vendor's profiling partitioner.

No Edge TPU is at hand: the times of a device are simulated, as those of the device model with every operation up to
`OFF` slower or faster, always the same. The partitioner's counts are the least that its rule needs: to know that a
stage is as long as its target allows, the stage and the one that is an operation longer must both be compiled and
measured; beside it stands what a binary search for each end of a stage takes. Its plan is priced under the same times.
Our segments are compiled one at a time here; side by side, some are compiled that turn out not to be needed.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result
from segsolve.cost.plan import score_cut
from segsolve.cost.stage import stage_score
from segsolve.graph.read import read_model
from segsolve.problem import MeasuredStage, Problem
from segsolve.profile.load import device_costs
from segsolve.question import Layout
from segsolve.search.baselines import compiler, profiled
from segsolve.tune import Tolerance, tune
from segsolve.zoo.files import write_network

DEVICE = "edgetpu-usb"
NETWORKS = ("resnet101", "resnet50", "mobilenetv2", "ssd-mobilenetv1", "xception", "efficientnet-lite4")
TPUS = (2, 4, 8)
OFF, SEED = 0.1, 0
TOLERANCE = Tolerance(stage=0.2, change=0.12)
"""Enough for times that are off by `OFF` either way."""
Range = tuple[int, int]


def main(networks: tuple[str, ...] = NETWORKS, tpus: tuple[int, ...] = TPUS) -> None:
    rows = [row(network, number, layout) for network in networks for number in tpus for layout in _LAYOUTS]
    write_result("tune_devices", {"device": DEVICE, "off": OFF, "seed": SEED, "rows": rows})


_LAYOUTS = (Layout.PIPELINE, Layout.ANY)


class Simulated:
    """An Edge TPU whose operations take up to `OFF` more or less than predicted; notes what it is asked for."""

    def __init__(self, problem: Problem, seed: int) -> None:
        rng = random.Random(seed)
        self.problem = replace(problem, measured=())
        self.factors = [rng.uniform(1 - OFF, 1 + OFF) for _ in problem.ops]
        self.measured: list[Range] = []

    def measure(self, first: int, end: int) -> int:
        """Return the time of a stage in ns."""
        self.measured.append((first, end))
        return self.true_ns(first, end)

    def true_ns(self, first: int, end: int) -> int:
        """Return the same without noting it."""
        stage = stage_score(self.problem, range(first, end))
        work = sum(self.problem.ops[i].compute_ns * self.factors[i] for i in range(first, end))
        return round(work) + stage.time_ns - stage.compute_ns


def row(network: str, tpus: int, layout: Layout) -> dict[str, Any]:
    """Tune one network, and count."""
    with TemporaryDirectory() as folder:
        graph = read_model(write_network(network, Path(folder))).graph
    problem = device_costs(DEVICE)(graph).problem(tpus=tpus)
    device = Simulated(problem, SEED)
    done = tune(problem, device.measure, layout=layout, tolerance=TOLERANCE, most_iterations=1_000)
    found: dict[str, Any] = {
        "network": network,
        "tpus": tpus,
        "layout": str(layout),
        "stopped_by": str(done.stopped_by),
        "rounds": len(done.iterations),
        "compilations_and_measurements": len({*device.measured}),
        "possible_stages": done.stages,
        "period_ms": round((done.period_ns or 0) / 1e6, 3),
    }
    if layout is Layout.PIPELINE:
        found["partitioner"] = partitioner(device)
    print(found, flush=True)
    return found


def partitioner(device: Simulated) -> dict[str, Any]:
    """Return what the vendor's profiling partitioner compiles and measures, and its plan's period."""
    problem = device.problem
    positions = (0, *problem.cuts, len(problem.ops))
    truth = replace(
        problem,
        measured=tuple(
            MeasuredStage(first=a, end=b, time_ns=device.true_ns(a, b))
            for k, a in enumerate(positions)
            for b in positions[k + 1 :]
        ),
    )
    plan = profiled.segment(truth)
    return {
        "at_least": len(profiled.needed(truth)),
        "by_binary_search": len(_searched(device, positions, problem.tpus)),
        "period_ms": round(score_cut(truth, plan).bottleneck_ns / 1e6, 3),
    }


def _searched(device: Simulated, positions: tuple[int, ...], tpus: int) -> set[Range]:
    """Return what is measured if each stage's end is found by a binary search between the earliest and the latest."""
    known: set[Range] = set()

    def time(begin: int, stop: int) -> int:
        stage = positions[begin], positions[stop]
        known.add(stage)
        return device.true_ns(*stage)

    end = len(positions) - 1
    cut = [*pairwise((0, *compiler.segment(device.problem), positions[-1]))]
    times = [time(positions.index(a), positions.index(b)) for a, b in cut]
    low, high, stages = min(times), max(times), len(cut)
    while high - low > profiled.DIFFERENCE_NS:
        target, begin = (low + high) // 2, 0
        for left in range(stages - 1, 0, -1):
            least, most = begin + 1, end - left
            while least < most:
                middle = (least + most + 1) // 2
                least, most = (middle, most) if time(begin, middle) <= target else (least, middle - 1)
            begin = least
        last = time(begin, end)
        low, high = (low, target) if last < target else (target, min(high, last))
    return known


if __name__ == "__main__":
    main(tuple(sys.argv[1].split(",")) if sys.argv[1:] else NETWORKS)
