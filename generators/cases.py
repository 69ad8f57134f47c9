"""Small problems as files and commands: what to ask ``segsolve solve``, and the problem that an oracle can try out."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from math import inf, nextafter
from pathlib import Path
from typing import Any

from generators.asked import Asked
from generators.documents import Document, device_toml, random_placement, random_profile, write
from generators.enumeration import fps_of, mixes, pipelines, point_of, undominated
from generators.networks import random_network
from segsolve.problem import Problem, SharedLink

OBJECTIVES = ("throughput", "throughput", "latency", "batch", "devices", "pareto")
MOST_FPS = 2.0**31 - 1  # the most that the option takes; plans that cost nothing are faster
KINDS = ("profile",) * 5 + ("linked",) * 2 + ("cores", "graph", "model")


@dataclass(frozen=True, kw_only=True)
class Case:
    """Files, and the command that asks about them.

    `kind` is that of the costs: a profile, a profile for TPUs and cores, a placement graph, or a model whose device
    has a link that all TPUs share; profiles and models may have a host that limits. `content` is the first file's. No
    file can say that the TPUs of a profile share a link; such a problem is of the kind `linked`, and asked without the
    command line.
    """

    kind: str
    content: Any
    tpus: int
    asked: Asked
    cpus: int | None = None
    no_spill: bool = False
    device: dict[str, float] = field(default_factory=dict)
    link_ns_per_mib: int | None = None

    @property
    def file(self) -> str:
        """The name of the file that the command names."""
        return "net.tflite" if self.kind == "model" else f"{self.kind}.json"

    def write(self, folder: Path) -> list[Path | str]:
        """Write the files to a folder and return the arguments of ``segsolve``."""
        path = folder / self.file
        if self.kind == "model":
            path.write_bytes(self.content)
        else:
            write(folder, self.content, self.file)
        args: list[Path | str] = ["solve", path, f"--tpus={self.tpus}", *self.asked.options()]
        if self.kind == "model":
            args.append(f"--device={write(folder, device_toml('edgetpu-m2', self.device), 'device.toml')}")
        if self.cpus is not None:
            args.append(f"--cpus={self.cpus}")
        return [*args, "--no-spill"] if self.no_spill else args

    def problem(self, folder: Path) -> Problem:
        """Return the problem that the files pose, once they are written."""
        from segsolve.device.model import load_device
        from segsolve.graph.read import read_graph
        from segsolve.profile.analytic import AnalyticCosts
        from segsolve.profile.load import profile_costs
        from segsolve.profile.placement import load_placement

        path = folder / self.file
        if self.kind == "graph":
            graph = load_placement(path)
            cores = graph.graph.max_cpus if self.cpus is None else self.cpus
            return graph.problem(accelerators=self.tpus, cpus=cores)
        if self.kind == "model":
            costs = AnalyticCosts(graph=read_graph(path), device=load_device(str(folder / "device.toml")))
            return costs.problem(tpus=self.tpus, no_spill=self.no_spill)
        problem = profile_costs(path, cpus=self.cpus or 0).problem(tpus=self.tpus, no_spill=self.no_spill)
        return (
            problem
            if self.link_ns_per_mib is None
            else replace(problem, link=SharedLink(ns_per_mib=self.link_ns_per_mib))
        )


def random_case(seed: int, folder: Path) -> Case:
    """Return a case; its limits are near what plans of its problem can do, so files are written to the folder."""
    rng = random.Random(seed)
    kind = rng.choice(KINDS)
    case = _unasked(rng, kind)
    if kind in ("cores", "graph"):
        return case
    layout, cuts = rng.choice(("any", "any", "pipeline")), rng.choice(("auto", "auto", "chain", "dag"))
    asked = Asked(objective=rng.choice(OBJECTIVES), layout=layout, cuts=cuts, batch=rng.choice((1, 2, 3, 5, 15)))
    case.write(folder)
    problem = case.problem(folder)
    asked = replace(asked, **dict(_on_stages(rng, problem)))
    return replace(case, asked=replace(asked, **dict(_limits(rng, problem, asked))))


def _unasked(rng: random.Random, kind: str) -> Case:
    """A problem without a question. Batches and graphs of many ways are for fewer operations."""
    tpus = rng.choice((1, 2, 2, 3, 3, 4))
    layers = rng.randint(1, 7 if tpus < 4 else 5)
    no_spill = rng.random() < 0.25
    if kind in ("profile", "linked"):
        profile = random_profile(rng, layers)
        if rng.random() < 0.35:
            profile["device"]["host"] = _host(rng, profile, tpus)
        link = _link(rng, profile) if kind == "linked" else None
        return Case(kind=kind, content=profile, tpus=tpus, asked=Asked(), no_spill=no_spill, link_ns_per_mib=link)
    one_pipeline = Asked(layout="pipeline", cuts="dag")
    cpus = rng.randint(0, 2)
    layers = min(layers, 6)
    if kind == "cores":
        content = random_profile(rng, layers, cpus=cpus)
        return Case(kind=kind, content=content, tpus=tpus, cpus=cpus, asked=one_pipeline, no_spill=no_spill)
    if kind == "graph":
        given = rng.choice((None, cpus))
        return Case(kind=kind, content=random_placement(rng, layers), tpus=tpus, cpus=given, asked=one_pipeline)
    device = {
        "memory.onchip": rng.uniform(0.13, 0.16),
        "time.invocation": rng.choice((0.0, 0.0005, 0.003)),
        "link.bandwidth": rng.choice((300.0, 1000.0, 3000.0, 10000.0)),
        "link.operation": 2700 * (tpus % 2),
        "host.cores": rng.choice((1, 2, 4)),
        "host.serial": rng.choice((0.0, 0.001, 0.01)),
        "host.frame": rng.choice((0.0, 1.0, 30.0)),
    }
    network = random_network(rng, rng.randint(1, 4))
    return Case(kind=kind, content=network, tpus=tpus, asked=Asked(), no_spill=no_spill, device=device)


def _host(rng: random.Random, profile: Document, tpus: int) -> Document:
    """Return a host that drives what all operations do about as fast as all TPUs do it."""
    work = sum(layer["time_ns"] for layer in profile["layers"]) + profile["device"].get("overhead_ns", 0)
    return {
        "cores": rng.choice((1, 1, 2, 3)),
        "serial_ns": int(rng.choice((0.0, 0.1, 0.5, 1.2)) * work / tpus),
        "work_ns": rng.choice((0, 0, int(rng.choice((0.3, 1.0, 2.5)) * work / tpus))),
        "frame_ns": int(rng.choice((0.0, 0.2, 0.8)) * work / tpus),
    }


def _link(rng: random.Random, profile: Document) -> int:
    """Return ns per MiB at which what all operations move takes about as long as they do."""
    work = sum(layer["time_ns"] for layer in profile["layers"]) + profile["device"].get("overhead_ns", 0)
    moved = sum(layer["param_bytes"] for layer in profile["layers"]) + sum(edge["bytes"] for edge in profile["edges"])
    return int(rng.choice((0.2, 0.7, 2.0)) * 2**20 * (work + 1) / (moved + 1))


def _on_stages(rng: random.Random, problem: Problem) -> Iterable[tuple[str, Any]]:
    """Constraints on stages, mostly none; those on operations that exist, not contradicting each other by name."""
    last = len(problem.ops) - 1
    starts: tuple[int, ...] = ()
    if rng.random() < 0.15:
        yield "max_stages", rng.randint(1, 3)
    if problem.cuts and rng.random() < 0.12:
        starts = (rng.choice(problem.cuts),)
        yield "cut_before", starts
    if last and rng.random() < 0.12:
        yield "no_cut_before", tuple(op for op in (rng.randint(1, last),) if op not in starts)
    if last and rng.random() < 0.12:
        yield "keep_together", (tuple(sorted(rng.sample(range(last + 1), 2))),)
    if rng.random() < 0.12:
        yield "pins", ((rng.randint(0, last), rng.randint(0, min(2, problem.tpus - 1))),)


def _limits(rng: random.Random, problem: Problem, asked: Asked) -> Iterable[tuple[str, Any]]:
    """Limits that are exactly what some plan does, or next to it."""
    made = undominated(pipelines(problem, asked))
    if not made:
        if asked.objective == "devices":
            yield "min_fps", 1.0
        return
    wants_rate = rng.random() < (0.6 if asked.objective == "devices" else 0.3)
    if rng.random() < 0.3 or (asked.objective == "devices" and not wants_rate):
        yield "max_latency_ns", max(1, rng.choice(made).latency_ns + rng.choice((-1, 0, 0, 1)))
    if wants_rate and asked.objective != "batch":
        few = list(islice(mixes(made, problem, asked), 300))
        fps = fps_of(point_of(rng.choice(few)).rate)
        near = rng.choice((fps, fps, fps, nextafter(fps, inf), fps * 0.999, fps * 1.001))
        yield "min_fps", min(MOST_FPS, max(1e-9, near))
