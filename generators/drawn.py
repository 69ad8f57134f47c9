"""Problems and questions that hypothesis draws, small enough to try every plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from segsolve.problem import MeasuredStage, OpCost, Problem, Transfer
from segsolve.question import Constraints, Cuts, Layout, Objective, Question

Draw = Any  # hypothesis' draw function


@st.composite
def ops(draw: Draw, rank: int) -> OpCost:
    compute = draw(st.integers(0, 20))
    weights = draw(st.integers(0, 30))
    return OpCost(
        name=f"op{rank}",
        compute_ns=compute,
        streamed_ns=compute + draw(st.integers(0, 20)),  # which costs nothing where there are no weights
        weight_bytes=weights,
        streamed_bytes=weights,
        parameter_bytes=max(0, weights - draw(st.integers(0, 3))),
        cacheable=draw(st.booleans()) or draw(st.booleans()),
        cache_rank=rank,
        scratch_bytes=draw(st.integers(0, 15)),
        link_bytes=draw(st.integers(0, 9)),
    )


@st.composite
def transfers(draw: Draw, n: int) -> tuple[Transfer, ...]:
    """Tensors with skips over any distance; inputs read late, outputs made early, tensors nobody reads."""
    made = []
    for producer in range(-1, n):
        later = st.sets(st.integers(producer + 1, n - 1), max_size=3) if producer + 1 < n else st.just(set[int]())
        consumers = set(draw(later))
        if producer + 1 < n and draw(st.booleans()):
            consumers.add(producer + 1)
        made.append(
            Transfer(
                name=f"t{producer}",
                nbytes=draw(st.integers(0, 9)),
                producer=producer,
                consumers=tuple(sorted(consumers)),
                is_output=producer >= 0 and (producer == n - 1 or draw(st.integers(0, 5)) == 0),
                input_ns=draw(st.integers(0, 9)),
                output_ns=draw(st.integers(0, 9)),
                scratch_bytes=draw(st.sampled_from((0, 5, 20, 90))),
            )
        )
    return tuple(made)


@st.composite
def measured(draw: Draw, n: int) -> tuple[MeasuredStage, ...]:
    """Stages measured as a whole, faster or slower than their parts; also such as no legal cut ends."""
    bounds = st.tuples(st.integers(0, n - 1), st.integers(1, n)).filter(lambda b: b[0] < b[1])
    ranges = draw(st.sets(bounds, max_size=4)) if draw(st.booleans()) else set()
    return tuple(MeasuredStage(first=a, end=b, time_ns=draw(st.integers(0, 99))) for a, b in sorted(ranges))


@st.composite
def problems(draw: Draw, max_ops: int = 9, max_tpus: int = 5) -> Problem:
    """Problems small enough to try every plan; small numbers, so that ties are common."""
    n = draw(st.integers(1, max_ops))
    ranks = draw(st.permutations(range(n)))
    cuts = [c for c in range(1, n) if draw(st.integers(0, 4))]
    return Problem(
        name="generated",
        ops=tuple(draw(ops(rank)) for rank in ranks),
        transfers=draw(transfers(n)),
        cuts=tuple(cuts),
        tpus=draw(st.integers(1, max_tpus)),
        capacity_bytes=draw(st.integers(0, 80)),
        overhead_ns=draw(st.integers(0, 5)),
        no_spill=draw(st.booleans()),
        measured=draw(measured(n)),
    )


@st.composite
def questions(draw: Draw, problem: Problem, objectives: Sequence[Objective] = tuple(Objective)) -> Question:
    objective = draw(st.sampled_from(objectives))
    needs_limit = objective is Objective.DEVICES
    return Question(
        objective=objective,
        layout=draw(st.sampled_from(list(Layout))),
        cuts=Cuts.AUTO,
        batch=draw(st.integers(1, 6)),
        constraints=draw(constraints(problem, fps=needs_limit))
        if needs_limit or draw(st.booleans())
        else Constraints(),
    )


@st.composite
def constraints(draw: Draw, problem: Problem, *, fps: bool) -> Constraints:
    """Constraints that do not contradict each other by name; whether a plan keeps them is another matter."""
    n = len(problem.ops)
    op = st.integers(0, n - 1)
    starts = draw(st.sets(st.sampled_from(problem.cuts), max_size=1)) if problem.cuts and draw(st.booleans()) else set()
    return Constraints.of(
        max_latency_ns=draw(st.none() | st.integers(20, 400)),
        min_fps=draw(st.floats(1e6, 1e8)) if fps else None,
        max_stages=draw(st.none() | st.integers(1, 4)),
        cut_before=tuple(sorted(starts)),
        no_cut_before=tuple(sorted(draw(st.sets(op, max_size=1)) - starts)),
        keep_together=((draw(op), draw(op)),) if draw(st.integers(0, 3)) == 0 else (),
        pins=((draw(op), draw(st.integers(0, 2))),) if draw(st.integers(0, 3)) == 0 else (),
    )
