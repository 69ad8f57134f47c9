"""The time of one inference on one TPU: features of a network, fit of the rates, and errors on rows left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.calibration.fit import Array, nonnegative, weights
from benchmarks.calibration.measurements import Row
from benchmarks.calibration.networks import VENDOR, quantised, vendor_graph, vendor_key
from segsolve.cost.stage import stage_score
from segsolve.device.activations import is_held
from segsolve.device.latency import moved_bytes, padded_macs, passes
from segsolve.device.memory import CACHED_KINDS, always_streams, streamed_bytes
from segsolve.device.model import MIB, Device
from segsolve.graph.model import Graph, Op
from segsolve.problem import Transfer
from segsolve.profile.analytic import AnalyticCosts

Rates = Mapping[str, float]  # ms, ms/MiB and ms/GMAC, by the names in the device descriptions
PER_OP = ("conv", "depthwise", "activation")
# Held: what other measurements say better (stream, input, output), or what these say hardly at all (depthwise).
# An operation takes at least its instructions: 2.7 KB in the median of public files, at the rate of the stream. Over
# PCIe half of that is the most that leaves the error as it was.
HELD: Mapping[str, Rates] = {
    "USB": {"input": 1.5, "output": 10.0, "depthwise": 6.5, "stream": 2.274, "operation": 0.0059},
    "PCIe": {"input": 0.4, "output": 0.4, "depthwise": 4.0, "stream": 2.637, "operation": 0.0034},
}
LARGE_MIB = 1.0  # beyond it, in the convolution sweep, a tensor's bytes take longer to move
START: Rates = {"invocation": 0.7, "conv": 0.9, "activation": 0.08, "slowdown": 1.3}
PRIOR_WEIGHT = 0.3  # the rate of another machine counts like a row that is off by 3 % when it differs by 10 %


@dataclass(frozen=True, slots=True)
class Features:
    """What a stage's time depends on, by operation [n]: GMAC, MiB of activations, MiB streamed in its place.

    `transfer` counts the tensors that enter and leave, `large` their MiB beyond the first of each, `again` the MiB of
    those that enter and that the tiles cannot hold whole.
    """

    work: Array  # [n, 3] in the order of PER_OP
    stream: Array  # [n] MiB that hide the operation's work, or the reverse; 0 where nothing streams
    wait: float  # MiB that are waited for
    input: float
    output: float
    transfer: float
    large: float
    again: float

    def time(self, rates: Rates) -> float:
        """Return the time in ms."""
        return float(sum(rates.get(key, 0.0) * amount for key, amount in self.amounts(rates).items()))

    def amounts(self, rates: Rates) -> dict[str, float]:
        """Return how much of each rate the time has, where the longer of work and stream counts."""
        work = self.work @ np.array([rates[key] for key in PER_OP])
        least = rates.get("operation", 0.0)
        streams = rates["stream"] * self.stream > np.maximum(work, least)
        short = ~streams & (work < least)
        done = self.work[~streams & ~short].sum(axis=0)
        return {
            "invocation": 1.0,
            "operation": float(short.sum()),
            "input": self.input,
            "output": self.output,
            "transfer": self.transfer,
            "large": self.large,
            "again": self.again,
            "stream": float(self.stream[streams].sum()) + self.wait,
            **dict(zip(PER_OP, map(float, done), strict=True)),
        }


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured time; rows of one `family` are left out together."""

    name: str
    family: str
    interface: str
    ms: float
    features: Features


def features(device: Device, graph: Graph, stage: Sequence[int] | None = None) -> Features:
    """Return the features of a stage, by default the whole network; the device's memory decides what streams."""
    problem = AnalyticCosts(graph=graph, device=device).problem(tpus=1)
    ops = [graph.ops[i] for i in (stage if stage is not None else range(len(graph.ops)))]
    score = stage_score(problem, [op.position for op in ops])
    always = {op.position for op in ops if op.kind in CACHED_KINDS and always_streams(device, graph, op)}
    spilled = always | set(score.spilled_ops)
    stream = [
        streamed_bytes(device, graph, op) * passes(device, graph, op) / MIB if op.position in spilled else 0.0
        for op in ops
    ]
    held = {op.position for op in ops}
    tensors = [*zip(graph.producer, problem.transfers, strict=True)]
    enter = {i: t.nbytes / MIB for i, t in tensors if _enters(t, held)}
    leave = {i: t.nbytes / MIB for i, t in tensors if _leaves(t, held)}
    wait = sum(streamed_bytes(device, graph, op) for op in ops if op.kind not in CACHED_KINDS) / MIB
    return Features(
        work=np.array([_work(device, graph, op) for op in ops]),
        stream=np.array(stream),
        wait=wait,
        input=score.input_bytes / MIB,
        output=score.output_bytes / MIB,
        transfer=float(len(enter) + len(leave)),
        large=sum(max(0.0, size - LARGE_MIB) for size in (*enter.values(), *leave.values())),
        again=sum(size for i, size in enter.items() if not is_held(device, graph, i)),
    )


def _enters(tensor: Transfer, stage: Collection[int]) -> bool:
    return tensor.producer not in stage and any(c in stage for c in tensor.consumers)


def _leaves(tensor: Transfer, stage: Collection[int]) -> bool:
    return tensor.producer in stage and (tensor.is_output or any(c not in stage for c in tensor.consumers))


def _work(device: Device, graph: Graph, op: Op) -> tuple[float, float, float]:
    activations = moved_bytes(device, graph, op) / MIB
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
            seen = features(quantised(device, VENDOR[key]), vendor_graph(key))
            samples.append(Sample(row["model"], family, interface, float(row["ms"]), seen))
    return samples


def not_drawn(rows: Sequence[Row]) -> list[str]:
    """Return the networks of the vendor's tables that have no drawing here."""
    return sorted({row["model"] for row in rows if vendor_key(row["model"]) not in VENDOR})


def rates_of(x: Rates, interface: str, known: Rates) -> dict[str, float]:
    """Return the rates of an interface from what both share: the chip's work, on PCIe slower by a factor.

    `known` is what the sweeps on a PCIe card found: "invocation", held for PCIe, and "conv", the prior of the fit.
    """
    if interface == "USB":
        return {**HELD["USB"], **{key: x[key] for key in ("invocation", "conv", "activation")}}
    held = {**HELD["PCIe"], "invocation": known["invocation"]}
    return {**held, **{key: x["slowdown"] * x[key] for key in ("conv", "activation")}}


def fit(samples: Sequence[Sample], known: Rates, rounds: int = 40) -> dict[str, float]:
    """Return the parameters with the least sum of relative deviations."""
    x, measured = dict(START), np.array([s.ms for s in samples])
    weight = np.ones(len(samples) + 1)
    for _ in range(rounds):
        linear = [_linearised(s, x, known) for s in samples]
        a = np.array([row for row, _ in linear]) / measured[:, None]
        b = 1 - np.array([fixed for _, fixed in linear]) / measured
        prior = PRIOR_WEIGHT * np.eye(len(x))[list(x).index("conv")]
        a, b = np.vstack([a, prior / known["conv"]]), np.append(b, PRIOR_WEIGHT)
        best = nonnegative(a * weight[:, None], b * weight)
        x = {key: 0.4 * x[key] + 0.6 * float(value) for key, value in zip(x, best, strict=True)}
        weight = weights(a @ best - b)
    return x


def _linearised(sample: Sample, x: Rates, known: Rates) -> tuple[list[float], float]:
    """Return the coefficients of the time in the parameters near `x`, and the part of it that is none of theirs."""
    rates = rates_of(x, sample.interface, known)
    amounts = sample.features.amounts(rates)
    work = {key: amounts[key] for key in ("conv", "activation")}
    rest = sum(rates.get(key, 0.0) * amount for key, amount in amounts.items() if key not in work)
    if sample.interface == "USB":
        row = {**work, "invocation": 1.0, "slowdown": 0.0}
        return [row[key] for key in x], rest - rates["invocation"]
    done = sum(x[key] * amount for key, amount in work.items())
    row = {**{key: x["slowdown"] * amount for key, amount in work.items()}, "invocation": 0.0, "slowdown": done}
    return [row[key] for key in x], rest - x["slowdown"] * done


def errors(samples: Sequence[Sample], x: Rates, known: Rates) -> Array:
    """Return the relative error of each predicted time."""
    return np.array([s.features.time(rates_of(x, s.interface, known)) / s.ms - 1 for s in samples])


def left_out(samples: Sequence[Sample], known: Rates, group: Callable[[Sample], str] = lambda s: s.family) -> Array:
    """Return the relative error of each row under parameters fitted without its group, on both interfaces."""
    held = {name: fit([s for s in samples if group(s) != name], known) for name in dict.fromkeys(map(group, samples))}
    return np.array([s.features.time(rates_of(held[group(s)], s.interface, known)) / s.ms - 1 for s in samples])
