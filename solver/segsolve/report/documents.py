"""Results as JSON documents; the names are stable, scripts rely on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segsolve.comparison import Comparison, Strategy
from segsolve.cost.plan import Score
from segsolve.cost.stage import StageScore, stage_score
from segsolve.device.ranges import Ranges
from segsolve.graph.model import Graph
from segsolve.problem import Problem
from segsolve.report.placed import placed_layers
from segsolve.report.ranges import period_range, range_document
from segsolve_runtime.contract.document import members

if TYPE_CHECKING:
    from segsolve.search.answer import Answer

Document = dict[str, Any]
"""A JSON object to be, of values that `jsonable` knows; where a name is that of an attribute, it is taken as it is."""
TERMS = ("overhead_ns", "compute_ns", "stream_ns", "input_ns", "output_ns")
"""What the time of a stage consists of."""


def _one_pipeline(problem: Problem, answer: Answer, score: Score | None) -> Document:
    """Return an answer of one pipeline with its stages; times are predicted, in ns unless the name says otherwise."""
    return {
        **members(answer, "status", "planner"),
        **search_document(answer),
        "tpus": problem.tpus,
        **members(score, "throughput_fps", "latency_ns", "link_ns", "host_ns", "offchip_bytes"),
        "cuts": answer.plan.cuts or () if answer.plan else None,
        "stages": _stages(problem, answer, score),
    }


def search_document(result: Answer) -> Document:
    """Return what is known of an answer's quality, and how its search went."""
    quality = members(result, "objective_ns", "bound_ns", "gap", "proof", "found_by", "confirmed_by")
    return quality | members(result, "stopped_by", "note", "wall_s", "deterministic_s", "seed")


def compare_document(comparisons: Sequence[Comparison], batch: int, ranges: Ranges = ()) -> Document:
    """Return all strategies for all numbers of TPUs, the proven bounds, and the whole model on one TPU."""
    one = comparisons[0]
    return {
        "model": one.problem.name,
        "batch": batch,
        "one_tpu": {
            "objective_ns": one.one_tpu.period_ns,
            "offchip_bytes": one.one_tpu.offchip_bytes,
        },
        "bounds": [{"tpus": c.problem.tpus, "bound_ns": c.bound_ns} for c in comparisons],
        "strategies": [_strategy(c, s, batch, ranges) for c in comparisons for s in c.strategies],
    }


def compare_rows(comparisons: Sequence[Comparison], batch: int, ranges: Ranges = ()) -> list[Document]:
    """Return one flat row per number of TPUs and strategy; the stages' times stand in one column."""
    rows = []
    for document in compare_document(comparisons, batch, ranges)["strategies"]:
        stages = document.pop("stages")
        cuts = document.pop("cuts")
        document["cuts"] = " ".join(map(str, cuts)) if cuts is not None else None
        document["stage_ns"] = " ".join(str(stage["time_ns"]) for stage in stages)
        document["limited_by"] = " and ".join(document["limited_by"] or ())
        rows.append({"model": comparisons[0].problem.name, **document})
    return rows


def _strategy(comparison: Comparison, strategy: Strategy, batch: int, ranges: Ranges) -> Document:
    found, best = (
        period_range(ranges, s.answer.score) if s and s.answer.score else None for s in (strategy, comparison.best)
    )
    return _one_pipeline(comparison.problem, strategy.answer, strategy.score) | {
        **range_document(found, best),
        "batch_ns": strategy.score.batch_ns(batch) if strategy.score else None,
        **members(strategy, "speedup_over_one_tpu", "speedup_over_compiler"),
        **members(strategy.answer.score, "limited_by"),
    }


def inspect_document(graph: Graph, problem: Problem, one_tpu: Score) -> Document:
    """Return what a network is: totals, operations, and what would cross each legal cut."""
    return {
        "model": graph.name,
        **members(graph, "sha256", "file_bytes", "weight_bytes"),
        "stored_bytes": sum(op.weight_bytes for op in problem.ops),
        **members(graph, "macs", "frozen_batch"),
        "inputs": [_tensor(graph, t) for t in graph.inputs],
        "outputs": [_tensor(graph, t) for t in graph.outputs],
        "restrictions": [{"first_op": r.first, "last_op": r.last, "reason": r.reason} for r in graph.restrictions],
        "one_tpu": {
            "time_ns": one_tpu.bottleneck_ns,
            **members(one_tpu.stages[0], "onchip_bytes", "offchip_bytes", "capacity_bytes"),
        },
        "operations": [
            {
                **members(op, "position", "kind", "name"),
                "output_shape": graph.tensors[op.outputs[0]].shape if op.outputs else (),
                **members(op, "macs", "weight_bytes"),
                "stored_bytes": cost.weight_bytes,
                **members(cost, "compute_ns", "streamed_ns"),
            }
            for op, cost in zip(graph.ops, problem.ops, strict=True)
        ],
        "cuts": [
            {
                "position": position,
                "tensors": [graph.tensors[t].name for t in graph.crossing(position)],
                "bytes": graph.crossing_bytes(position),
            }
            for position in graph.cuts
        ],
    }


def _stages(problem: Problem, answer: Answer, score: Score | None) -> list[Document]:
    if answer.plan is None or score is None:
        return []
    stages = zip(answer.plan.pipelines[0].stages, score.stages, strict=True)
    return [{"first_op": s.ops[0], "last_op": s.ops[-1], **stage_document(problem, cost)} for s, cost in stages]


def stage_document(problem: Problem, stage: StageScore) -> Document:
    """Return what one inference of a stage costs."""
    times = members(stage, "time_ns", *TERMS, "correction_ns")
    sizes = members(stage, "onchip_bytes", "offchip_bytes", "capacity_bytes", "input_bytes", "output_bytes")
    return times | sizes | {"spilled_ops": [problem.ops[i].name for i in stage.spilled_ops]}


def segments_document(problem: Problem, ranges: Sequence[tuple[int, int]]) -> list[Document]:
    """Return what each range of operations (half-open) costs as a segment, and what becomes of its weights."""
    return [
        {
            "first_op": first,
            "last_op": end - 1,
            **stage_document(problem, stage_score(problem, range(first, end))),
            "layers": placed_layers(problem, range(first, end)),
        }
        for first, end in ranges
    ]


def _tensor(graph: Graph, index: int) -> Document:
    tensor = graph.tensors[index]
    return {"name": tensor.name, "dtype": tensor.dtype.lower(), "shape": tensor.shape, "bytes": tensor.nbytes}
