"""Solver against checker: the certificates of thousands of generated answers, and of the zoo, checked and timed.

An answer that is called optimal and whose certificate the checker refuses is counted and named with its seed.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import Any

from benchmarks.common import write_result, zoo_file
from generators.dags import spilling_dag
from generators.plan_files import plan_file
from generators.problems import small_problem
from segsolve.checker.check import Report, check
from segsolve.checker.document import parse
from segsolve.device.model import load_device
from segsolve.errors import SolverFault, UsageError
from segsolve.graph.read import read_graph
from segsolve.problem import Host, Problem, SharedLink
from segsolve.profile.analytic import AnalyticCosts
from segsolve.question import Constraints, Cuts, Layout, Objective, Question
from segsolve.search.answer import Answer
from segsolve.search.ask import answer
from segsolve.solvers.base import Status
from segsolve.zoo import names

GENERATED, TPUS = 3000, 8


def main() -> None:
    generated = [one for seed in range(GENERATED) if (one := _generated(seed))]
    counts = {kind: sum(found == kind for found, _ in generated) for kind in ("certified", "none", "refused", "fault")}
    wrong = [text for found, text in generated if found in ("refused", "fault")]
    print(counts, wrong[:5], flush=True)
    write_result("certificates", {"generated": {**counts, "wrong": wrong}, "zoo": [_zoo(name) for name in names()]})


def _generated(seed: int) -> tuple[str, str]:
    """Answer a question about a generated problem and check the certificate; return how that went, and where."""
    problem, question = _problem(seed), _question(seed)
    where = f"seed {seed}: {question.objective} {question.layout} {question.cuts}"
    try:
        found = answer(problem, question, planner="dp")
    except UsageError:
        return "none", where
    except SolverFault as fault:
        return "fault", f"{where}: {fault}"
    if found.certificate is None:
        return "none", where
    report = checked(problem, found)
    return "certified" if report.is_certified else "refused", f"{where}: {report.steps[-1].text}"


def checked(problem: Problem, found: Answer) -> Report:
    """Check an answer's certificate as `segsolve check` would."""
    assert found.plan is not None
    assert found.value is not None
    text = json.dumps(found.certificate)
    bound = found.bound if found.certificate and "bound" in found.certificate else None
    plan = plan_file(problem, found.plan, found.question, found.value, bound)
    said = plan.solution.model_copy(update={"proof": found.proof, "cuts": found.cuts})
    return check(plan.model_copy(update={"solution": said}), lambda: parse(text))


def _problem(seed: int) -> Problem:
    """A chain with skips or a graph with branches; every seventh on a shared link, every fifth on a host."""
    rng = random.Random(seed)
    made = small_problem(seed) if seed % 2 else spilling_dag(rng.randint(2, 12), rng.randint(1, 6), seed)
    link = SharedLink(ns_per_mib=rng.randint(0, 2**21)) if seed % 7 == 0 else None
    host = _host(rng) if seed % 5 == 0 else None
    # Where nothing may stream there is mostly no plan, and then nothing to certify.
    no_spill = made.no_spill and rng.random() < 0.2
    return replace(made, overhead_ns=made.overhead_ns + 1, link=link, host=host, no_spill=no_spill)


def _host(rng: random.Random) -> Host:
    serial, work, frame = rng.choice((0, 5, 40)), rng.choice((0, 20, 300)), rng.choice((0, 30))
    return Host(cores=rng.randint(1, 4), serial_ns=serial, work_ns=work, frame_ns=frame)


def _question(seed: int) -> Question:
    rng = random.Random(seed)
    objective = rng.choice(list(Objective)) if seed % 7 else Objective.THROUGHPUT
    asked = Constraints.of(
        max_latency_ns=rng.choice((None, None, rng.randint(50, 3000))),
        min_fps=rng.uniform(1e5, 4e6) if objective is Objective.DEVICES else None,
        max_stages=rng.choice((None, None, rng.randint(1, 4))),
    )
    return Question(
        objective=objective,
        layout=rng.choice(list(Layout)),
        cuts=rng.choice(list(Cuts)),
        batch=rng.randint(1, 50),
        constraints=asked,
    )


def _zoo(name: str) -> dict[str, Any]:
    """Solve a network for all layouts and check the certificate; seconds of both."""
    with zoo_file(name) as path:
        problem = AnalyticCosts(graph=read_graph(path), device=load_device("edgetpu-pcie")).problem(tpus=TPUS)
    start = time.perf_counter()
    found = answer(problem)
    solved = time.perf_counter()
    row: dict[str, Any] = {"network": name, "tpus": TPUS, "cuts": found.cuts, "solve_s": round(solved - start, 2)}
    if found.certificate is not None and found.status is Status.OPTIMAL:
        report = checked(problem, found)
        row |= {"check_s": round(time.perf_counter() - solved, 2), "states": len(found.certificate["states"])}
        row |= {"certified": report.is_certified, "proven_over": report.cuts, "claims": report.steps[-2].text}
    print(row, flush=True)
    return row


if __name__ == "__main__":
    main()
