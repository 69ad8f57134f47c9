"""What becomes of a segment's weights, for people: sentences and tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.cost.stage import Placement, StageScore, placements, stage_score
from segsolve.problem import Problem
from segsolve.report.grid import Grid
from segsolve.report.units import mib, ms, short, size
from segsolve_runtime.contract.document import members

SPILL = "red"
_MOST_SENTENCES = 5
Range = tuple[int, int]  # operations, half-open


def placed_sentence(name: str, placed: Placement) -> str:
    """Return why a layer's weights are streamed, and what that costs."""
    name, weights = short(name), size(placed.weight_bytes)
    cost = f"costs {ms(placed.cost_ns)} ms" if placed.cost_ns else "costs no time, as its arithmetic takes longer"
    if not placed.cacheable:
        return f"constants of {name} ({weights}) never stay on chip; they are streamed at every inference, which {cost}"
    left = f"{size(placed.left_bytes)} are left" if placed.left_bytes else "nothing is left"
    return f"layer {name} ({weights}) does not fit: {left}; it is streamed at every inference and {cost}"


def streamed_sentences(problem: Problem, stage: Collection[int], most: int = _MOST_SENTENCES) -> list[str]:
    """Return a sentence for each layer that streams, the most costly first, and one for all beyond `most`."""
    return spill_sentences(placements(problem, stage), lambda op: problem.ops[op].name, most)


def spill_sentences(
    placed: Collection[Placement], name_of: Callable[[int], str], most: int = _MOST_SENTENCES
) -> list[str]:
    """Return the same of what became of a stage's weights; `name_of` names an operation."""
    streamed = most_costly(placed)
    sentences = [placed_sentence(name_of(p.op), p) for p in streamed[:most]]
    if others := streamed[most:]:
        nbytes, cost = sum(p.streamed_bytes for p in others), sum(p.cost_ns for p in others)
        what = "Another layer streams" if len(others) == 1 else f"{len(others)} more layers stream"
        sentences.append(f"{what}, {size(nbytes)} for {ms(cost)} ms")
    return sentences


def most_costly(placed: Collection[Placement]) -> list[Placement]:
    """Return those that stream, the most costly first."""
    return sorted((p for p in placed if not p.cached), key=lambda p: (-p.cost_ns, -p.streamed_bytes, p.op))


def segments_table(problem: Problem, ranges: Sequence[Range], device: str, *, layers: bool) -> RenderableType:
    """Return what each range of operations would cost as a segment, and what streams of it; all layers if asked."""
    table = Grid(
        f"{problem.name} on {device}: predicted per segment, in ms and MiB",
        *("segment", "operations", "time", "compute", "stream", "in", "out", "room", "on chip", "off chip"),
        left=("operations",),
        optional=("out", "in"),
    )
    parts: list[RenderableType] = [table]
    for k, (first, end) in enumerate(ranges):
        stage = stage_score(problem, range(first, end))
        table.add_row(
            str(k),
            f"{first}-{end - 1}",
            *map(ms, (stage.time_ns, stage.compute_ns, stage.stream_ns, stage.input_ns, stage.output_ns)),
            *(mib(n) for n in (stage.capacity_bytes, stage.onchip_bytes)),
            Text(mib(stage.offchip_bytes), style=SPILL if stage.offchip_bytes else ""),
        )
        parts += _explained(problem, k, range(first, end), stage, layers=layers)
    return Group(*parts)


def _explained(
    problem: Problem, number: int, stage: range, score: StageScore, *, layers: bool
) -> Iterable[RenderableType]:
    if layers:
        yield _layers(problem, number, stage)
        return
    if not score.offchip_bytes:
        yield Text(f"Segment {number}: all of its weights stay on chip.")
        return
    yield Text(f"Segment {number}: its activations leave {size(score.capacity_bytes)} for weights.")
    for sentence in streamed_sentences(problem, stage):
        yield Text(f"  {sentence}", style=SPILL)


def _layers(problem: Problem, number: int, stage: range) -> Grid:
    columns = ("#", "layer", "stored\nKiB", "room\nKiB", "weights", "streamed\nKiB", "costs\nms")
    table = Grid(f"Segment {number}: weights in the order in which they are kept on chip", *columns, left=("layer",))
    for p in placements(problem, stage):
        where = "on chip" if p.cached else "do not fit" if p.cacheable else "never kept"
        table.add_row(
            str(p.op),
            short(problem.ops[p.op].name),
            *(f"{n / 1024:.1f}" for n in (p.weight_bytes, p.left_bytes)),
            Text(where, style="" if p.cached else SPILL),
            *((f"{p.streamed_bytes / 1024:.1f}", ms(p.cost_ns)) if not p.cached else ("-", "-")),
        )
    return table


def placed_layers(problem: Problem, stage: Collection[int]) -> list[dict[str, Any]]:
    """Return what becomes of a segment's weights as a document."""
    return [
        {
            "position": p.op,
            "name": problem.ops[p.op].name,
            "stored_bytes": p.weight_bytes,
            **members(p, "left_bytes", "cached", "cacheable", "streamed_bytes", "cost_ns"),
        }
        for p in placements(problem, stage)
    ]
