"""The time of one inference on one TPU: features of a network, fit of the rates, and errors on rows left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.calibration.fit import Array, nonnegative, weights
from benchmarks.calibration.measurements import Row
from benchmarks.calibration.networks import VENDOR, vendor_graph, vendor_key
from segsolve.device.latency import padded_macs, passes
from segsolve.device.memory import CACHED_KINDS, stored_bytes, streamed_bytes
from segsolve.device.model import MIB, Device
from segsolve.evaluate import stage_score
from segsolve.graph.model import Graph, Op
from segsolve.profile.analytic import AnalyticCosts

Rates = Mapping[str, float]  # ms, ms/MiB and ms/GMAC, by the names in the device descriptions
PER_OP = ("conv", "depthwise", "activation")


@dataclass(frozen=True, slots=True)
class Features:
    """What a stage's time depends on, by operation [n]: GMAC, MiB of activations, MiB streamed in its place."""

    work: Array  # [n, 3] in the order of PER_OP
    stream: Array  # [n] MiB that hide the operation's work, or the reverse; 0 where nothing streams
    wait: float  # MiB that are waited for
    input: float
    output: float

    def time(self, rates: Rates) -> float:
        """Return the time in ms."""
        return float(sum(rates[key] * amount for key, amount in self.amounts(rates).items()))

    def amounts(self, rates: Rates) -> dict[str, float]:
        """Return how much of each rate the time has, where the longer of work and stream counts."""
        work = self.work @ np.array([rates[key] for key in PER_OP])
        streams = rates["stream"] * self.stream > work
        done = self.work[~streams].sum(axis=0)
        return {
            "invocation": 1.0,
            "input": self.input,
            "output": self.output,
            "stream": float(self.stream[streams].sum()) + self.wait,
            **dict(zip(PER_OP, map(float, done), strict=True)),
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured time; rows of one `family` are left out together."""

    name: str
    family: str
    ms: float
    features: Features


def features(device: Device, graph: Graph, stage: Sequence[int] | None = None) -> Features:
    """Return the features of a stage, by default the whole network; the device's memory decides what streams."""
    problem = AnalyticCosts(graph=graph, device=device).problem(tpus=1)
    ops = [graph.ops[i] for i in (stage if stage is not None else range(len(graph.ops)))]
    score = stage_score(problem, [op.position for op in ops])
    spilled = set(score.spilled_ops)
    stream = [
        streamed_bytes(device, graph, op) * passes(device, graph, op) / MIB if op.position in spilled else 0.0
        for op in ops
    ]
    wait = sum(stored_bytes(device, graph, op) for op in ops if op.kind not in CACHED_KINDS) / MIB
    return Features(
        work=np.array([_work(device, graph, op) for op in ops]),
        stream=np.array(stream),
        wait=wait,
        input=score.input_bytes / MIB,
        output=score.output_bytes / MIB,
    )


def _work(device: Device, graph: Graph, op: Op) -> tuple[float, float, float]:
    activations = sum(graph.tensors[t].nbytes for t in (*op.inputs, *op.outputs)) / MIB
    macs = 0.0
    if op.weights is not None:
        macs = padded_macs(device, graph.tensors[op.weights], graph.tensors[op.outputs[0]], op.kind) / 1e9
    deep = op.kind == "DEPTHWISE_CONV_2D"
    return (0.0 if deep else macs, macs if deep else 0.0, activations)


def vendor_samples(rows: Sequence[Row], device: Device, interface: str) -> list[Sample]:
    """Return the rows of the vendor's tables whose network can be drawn, for "USB" or "PCIe"."""
    samples = []
    for row in rows:
        key = vendor_key(row["model"])
        if key in VENDOR and interface in row["interface"].replace("USB3", "USB"):
            family = key.split("-v")[0].rstrip("0123456789.") if key.startswith("vgg") else key
            stored_as = {"int8-per-channel": VENDOR[key].channel_bytes}
            exact = replace(device, channel_bytes=device.channel_bytes | stored_as)
            samples.append(Sample(row["model"], family, float(row["ms"]), features(exact, vendor_graph(key))))
    return samples


def not_drawn(rows: Sequence[Row]) -> list[str]:
    """Return the networks of the vendor's tables that have no drawing here."""
    return sorted({row["model"] for row in rows if vendor_key(row["model"]) not in VENDOR})


def fit(samples: Sequence[Sample], start: Rates, free: Sequence[str], rounds: int = 30) -> dict[str, float]:
    """Return the rates with the least sum of relative deviations; those not in `free` stay as they are."""
    rates, measured = dict(start), np.array([s.ms for s in samples])
    weight = np.ones(len(samples))
    for _ in range(rounds):
        amounts = [s.features.amounts(rates) for s in samples]
        fixed = np.array([sum(rates[k] * v for k, v in a.items() if k not in free) for a in amounts])
        a = np.array([[row[key] for key in free] for row in amounts]) / measured[:, None]
        b = 1 - fixed / measured
        x = nonnegative(a * weight[:, None], b * weight)
        rates |= {key: 0.4 * rates[key] + 0.6 * float(value) for key, value in zip(free, x, strict=True)}
        weight = weights(a @ x - b)
    return rates


def errors(samples: Sequence[Sample], rates: Rates) -> Array:
    """Return the relative error of each predicted time."""
    return np.array([s.features.time(rates) / s.ms - 1 for s in samples])


def left_out(
    samples: Sequence[Sample], start: Rates, free: Sequence[str], group: Callable[[Sample], str] = lambda s: s.family
) -> Array:
    """Return the relative error of each row under rates fitted without any row of its group."""
    held = {
        name: fit([s for s in samples if group(s) != name], start, free) for name in dict.fromkeys(map(group, samples))
    }
    return np.array([s.features.time(held[group(s)]) / s.ms - 1 for s in samples])
