"""Real plan folders of a small network, for every kind of question, under generated costs; written anew with hashes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from segsolve.checker.document import CERTIFICATE_FILE
from segsolve.device.model import load_device
from segsolve.graph.read import LoadedModel
from segsolve.plan.folder import write_plan
from segsolve.problem import Host, Problem, SharedLink
from segsolve.profile.analytic import AnalyticCosts
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.search.answer import Answer
from segsolve.search.ask import answer
from segsolve.solvers.base import Status
from segsolve_runtime.contract.digest import digest
from segsolve_runtime.contract.plan import PLAN_FILE

from ..models import Net

LATE = 1000
QUESTIONS: dict[str, Question] = {
    "throughput": Question(),
    "one pipeline": Question(
        layout=Layout.PIPELINE, constraints=Constraints.of(max_stages=3, cut_before=(4,), keep_together=((5, 6),))
    ),
    "latency at a rate": Question(objective=Objective.LATENCY, constraints=Constraints.of(min_fps=2e6)),
    "batch": Question(objective=Objective.BATCH, batch=7, layout=Layout.PIPELINE),
    "devices": Question(objective=Objective.DEVICES, constraints=Constraints.of(min_fps=2e6, no_cut_before=(3,))),
    "pareto": Question(objective=Objective.PARETO),
    "link": Question(),
    "host": Question(),
    "front on a host": Question(objective=Objective.PARETO),
    "within a latency": Question(constraints=Constraints.of(max_latency_ns=LATE, pins=((0, 0), (9, 1)))),
    "execution order": Question(cuts=Cuts.CHAIN),
    "best of its order": Question(),
}


def branching_net() -> Net:
    """Return a network of two branches of three convolutions each, one after the other in the execution order."""
    net = Net(0)
    whole = net.conv(net.input())
    left = net.conv(net.conv(net.conv(whole)))
    right = net.conv(net.conv(net.conv(whole)))
    joined = net.conv(net.concat(left, right), size=1)
    net.graph.outputs = [net.dense(joined, 10)]
    return net


@dataclass(frozen=True)
class Documents:
    """plan.json and certificate.json as they may be changed, without what binds them."""

    plan: dict[str, Any]
    certificate: dict[str, Any]

    def write(self, folder: Path, *, binds: bool = True) -> None:
        """Write both as whoever knows how hashes are made would: each is intact, and names the other if it `binds`."""
        plan = {k: v for k, v in self.plan.items() if k not in ("digest", "certificate_sha256")}
        binding = {"model_sha256": plan["model"]["sha256"], "plan_sha256": digest(plan)}
        content = json.dumps(self.certificate | {"binding": binding if binds else None}).encode()
        if binds:
            plan["certificate_sha256"] = sha256(content).hexdigest()
        (folder / CERTIFICATE_FILE).write_bytes(content)
        (folder / PLAN_FILE).write_text(json.dumps(plan | {"digest": digest(plan)}))


def documents(folder: Path) -> Documents:
    """Return what a folder holds."""
    plan, certificate = (json.loads((folder / name).read_text()) for name in (PLAN_FILE, CERTIFICATE_FILE))
    return Documents(plan, certificate)


def make_folder(folder: Path, loaded: LoadedModel, kind: str) -> None:
    """Solve and write the plan of a kind of `QUESTIONS`; its costs are drawn, so that each kind has work to do."""
    device = load_device("edgetpu-pcie")
    costs = AnalyticCosts(graph=loaded.graph, device=device)
    problem, question = drawn(costs.problem(tpus=4), kind), QUESTIONS[kind]
    found = answer(problem, question)
    if kind == "best of its order":
        found = best_of_order(problem)
    assert found.plan is not None and found.certificate is not None
    write_plan(folder, loaded=loaded, device=device, problem=problem, answer=found)


def drawn(problem: Problem, kind: str, seed: int = 4) -> Problem:
    """Return a network's problem with small costs of which transfers, weights and overhead are each a part."""
    rng = Random(seed)
    ops = tuple(
        replace(
            op,
            compute_ns=(time := rng.randint(20, 120)),
            streamed_ns=time + (rng.randint(10, 60) if op.weight_bytes else 0),
            weight_bytes=rng.randint(5, 40) if op.weight_bytes else 0,
            streamed_bytes=rng.randint(5, 40) if op.weight_bytes else 0,
            scratch_bytes=rng.randint(0, 9),
        )
        for op in problem.ops
    )
    transfers = tuple(
        replace(t, input_ns=rng.randint(1, 9), output_ns=rng.randint(1, 9), scratch_bytes=0) for t in problem.transfers
    )
    link = SharedLink(ns_per_mib=2**20 * 1200 // sum(t.nbytes for t in transfers)) if kind == "link" else None
    host = Host(cores=2, serial_ns=100, work_ns=90, frame_ns=30) if "host" in kind else None
    return replace(problem, ops=ops, transfers=transfers, capacity_bytes=75, overhead_ns=7, link=link, host=host)


def best_of_order(problem: Problem) -> Answer:
    """Return the best plan of the execution order as an answer that claims no more than that."""
    found = answer(problem, Question(cuts=Cuts.CHAIN))
    assert found.value is not None and found.certificate is not None
    question = found.certificate["question"] | {"cuts": "auto"}
    return replace(
        found,
        question=Question(),
        status=Status.FEASIBLE,
        bound=found.value * Fraction(7, 8),
        cuts="dag",
        certificate=found.certificate | {"question": question},
    )
