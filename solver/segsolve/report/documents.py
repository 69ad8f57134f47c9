"""Results as JSON documents; the names are stable, scripts rely on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from segsolve.comparison import Comparison, Strategy
from segsolve.cost.plan import Score
from segsolve.cost.stage import StageScore, stage_score
from segsolve.device.ranges import Ranges
from segsolve.graph.model import Graph
from segsolve.problem import Problem
from segsolve.report.placed import placed_layers
from segsolve.report.ranges import period_range, range_document

if TYPE_CHECKING:
    from segsolve.search.answer import Answer

Document = dict[str, Any]


def _one_pipeline(problem: Problem, answer: Answer, score: Score | None) -> Document:
    """Return an answer of one pipeline with its stages; times are predicted, in ns unless the name says otherwise."""
    return {
        "status": str(answer.status),
        "planner": answer.planner,
        **search_document(answer),
        "tpus": problem.tpus,
        "throughput_fps": score.throughput_fps if score else None,
        "latency_ns": score.latency_ns if score else None,
        "link_ns": score.link_ns if score else None,
        "host_ns": score.host_ns if score else None,
        "offchip_bytes": score.offchip_bytes if score else None,
        "cuts": list(answer.plan.cuts or ()) if answer.plan else None,
        "stages": _stages(problem, answer, score),
    }


def search_document(result: Answer) -> Document:
    """Return what is known of an answer's quality, and how its search went."""
    return {
        "objective_ns": result.objective_ns,
        "bound_ns": result.bound_ns,
        "gap": result.gap,
        "proof": result.proof,
        "found_by": result.found_by,
        "confirmed_by": [asdict(confirmation) for confirmation in result.confirmed_by],
        "stopped_by": str(result.stopped_by),
        "note": result.note,
        "wall_s": result.wall_s,
        "deterministic_s": result.deterministic_s,
        "seed": result.seed,
    }


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
        rows.append({"model": comparisons[0].problem.name, **document})
    return rows


def _strategy(comparison: Comparison, strategy: Strategy, batch: int, ranges: Ranges) -> Document:
    found, best = (
        period_range(ranges, s.answer.score) if s and s.answer.score else None for s in (strategy, comparison.best)
    )
    return _one_pipeline(comparison.problem, strategy.answer, strategy.score) | {
        **range_document(found, best),
        "batch_ns": strategy.score.batch_ns(batch) if strategy.score else None,
        "speedup_over_one_tpu": strategy.speedup_over_one_tpu,
        "speedup_over_compiler": strategy.speedup_over_compiler,
    }


def inspect_document(graph: Graph, problem: Problem, one_tpu: Score) -> Document:
    """Return what a network is: totals, operations, and what would cross each legal cut."""
    return {
        "model": graph.name,
        "sha256": graph.sha256,
        "file_bytes": graph.file_bytes,
        "weight_bytes": graph.weight_bytes,
        "stored_bytes": sum(op.weight_bytes for op in problem.ops),
        "macs": graph.macs,
        "frozen_batch": graph.frozen_batch,
        "inputs": [_tensor(graph, t) for t in graph.inputs],
        "outputs": [_tensor(graph, t) for t in graph.outputs],
        "restrictions": [{"first_op": r.first, "last_op": r.last, "reason": r.reason} for r in graph.restrictions],
        "one_tpu": {
            "time_ns": one_tpu.bottleneck_ns,
            "onchip_bytes": one_tpu.stages[0].onchip_bytes,
            "offchip_bytes": one_tpu.offchip_bytes,
            "capacity_bytes": one_tpu.stages[0].capacity_bytes,
        },
        "operations": [
            {
                "position": op.position,
                "kind": op.kind,
                "name": op.name,
                "output_shape": list(graph.tensors[op.outputs[0]].shape) if op.outputs else [],
                "macs": op.macs,
                "weight_bytes": op.weight_bytes,
                "stored_bytes": cost.weight_bytes,
                "compute_ns": cost.compute_ns,
                "streamed_ns": cost.streamed_ns,
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
    return {
        "time_ns": stage.time_ns,
        "overhead_ns": stage.overhead_ns,
        "compute_ns": stage.compute_ns,
        "stream_ns": stage.stream_ns,
        "input_ns": stage.input_ns,
        "output_ns": stage.output_ns,
        "correction_ns": stage.correction_ns,
        "onchip_bytes": stage.onchip_bytes,
        "offchip_bytes": stage.offchip_bytes,
        "capacity_bytes": stage.capacity_bytes,
        "input_bytes": stage.input_bytes,
        "output_bytes": stage.output_bytes,
        "spilled_ops": [problem.ops[i].name for i in stage.spilled_ops],
    }


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
    return {"name": tensor.name, "dtype": tensor.dtype.lower(), "shape": list(tensor.shape), "bytes": tensor.nbytes}
