"""The certificate of a pool's plan: the costs, the plan, and the potentials that prove the bound.

It is believed in nothing but its form by `checker/pool`, which prices everything again with code of its own: the plan,
the dedicated optimum by its own dynamic program, the potentials by its own search for the dearest pattern, and the
prices of resources by the cheapest ways that it finds itself.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from segsolve.pool.answer import PoolAnswer
from segsolve.pool.model import Goal
from segsolve.pool.plan import PoolPlan
from segsolve.pool.region import Split
from segsolve.problem import Problem
from segsolve_runtime.contract.document import jsonable, members


def certificate(answer: PoolAnswer, plan: PoolPlan) -> dict[str, Any] | None:
    """Return the certificate of an answer as a document; None of a plan that does not make the rates it is to keep."""
    workload, pool = answer.problem.workload, answer.problem.pool
    if answer.value is None or (workload.goal is Goal.LATENCY and not answer.keeps_rates):
        return None
    proof = answer.shared
    return {
        "format": "segsolve-pool-certificate",
        "version": 1,
        "kinds": [members(kind, "name", "count", "link") for kind in pool.kinds],
        "links": [{"name": name, "ns_per_mib": link.ns_per_mib} for name, link in pool.links],
        "models": [
            {
                "name": demand.model,
                "constraints": jsonable(dict(demand.kept.values)),
                **members(demand, "weight", "pins"),
            }
            for demand in workload.demands
        ],
        "objective": workload.goal.value,
        "wanted": None if workload.scale_fps is None else _ratio(workload.scale_fps),
        "sharing": workload.sharing.value,
        "problems": [[problem_document(problem) for problem in row] for row in answer.problem.costs],
        "pipelines": [
            {
                "model": pipeline.model,
                "share": None if pipeline.share is None else _ratio(pipeline.share),
                "stages": [
                    {"ops": [list(run) for run in stage.as_stage.op_ranges], "devices": list(stage.devices)}
                    for stage in pipeline.stages
                ],
            }
            for pipeline in plan.pipelines
        ],
        "residents": [[[r.pipeline, r.stage] for r in residents] for residents in plan.residents],
        "value": _ratio(answer.value),
        "bound": _ratio(answer.certified),
        "without_copies": None if answer.narrow is None else _ratio(answer.narrow[1]),
        "prices": None if answer.prices is None else list(answer.prices.all),
        "shared": None
        if proof is None
        else {
            "period_ns": proof.period_ns,
            "nodes": [
                {"split": [node.model, node.first, node.last]}
                if isinstance(node, Split)
                else {"potentials": [list(own) for own in node.potentials], "worths": list(node.worths)}
                for node in proof.nodes
            ],
        },
    }


def problem_document(problem: Problem) -> dict[str, Any]:
    """Return a problem as certificates have it."""
    own = "name", "ops", "transfers", "cuts", "tpus", "cpus", "capacity_bytes", "overhead_ns", "no_spill", "measured"
    return members(problem, *own, "host") | {"link": None}  # which the certificate says of the pool


def _ratio(value: Fraction) -> list[int]:
    return [value.numerator, value.denominator]
