"""Generated problems: small ones for oracles, large ones for what only scale shows."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from segsolve.problem import MeasuredStage, OpCost, Problem, Transfer

Draw = Any  # hypothesis' draw function


def op_cost(compute_ns: int = 10, **others: Any) -> OpCost:
    """An operation without weights, unless told otherwise."""
    values: dict[str, Any] = {
        "name": "op",
        "compute_ns": compute_ns,
        "streamed_ns": compute_ns,
        "weight_bytes": 0,
        "streamed_bytes": others.get("weight_bytes", 0),
        "parameter_bytes": 0,
        "cacheable": True,
        "cache_rank": 0,
        "scratch_bytes": 0,
    }
    return OpCost(**(values | others))


def transfer(producer: int, *consumers: int, ns: int = 1, is_output: bool = False, nbytes: int = 1) -> Transfer:
    """A tensor that costs `ns` in either direction."""
    return Transfer(
        name=f"t{producer}",
        nbytes=nbytes,
        producer=producer,
        consumers=consumers,
        is_output=is_output,
        input_ns=ns,
        output_ns=ns,
    )


def chain(*ops: OpCost, tpus: int = 2, ns: int = 1, **others: Any) -> Problem:
    """A chain in which every operation reads the one before it; cuts are legal everywhere."""
    n = len(ops)
    transfers = [transfer(i, *((i + 1,) if i + 1 < n else ()), ns=ns, is_output=i == n - 1) for i in range(-1, n)]
    values: dict[str, Any] = {
        "name": "chain",
        "ops": ops,
        "transfers": tuple(transfers),
        "cuts": tuple(range(1, n)),
        "tpus": tpus,
        "capacity_bytes": 100,
        "overhead_ns": 0,
    }
    return Problem(**(values | others))


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


def large_chain(n: int, tpus: int, seed: int, *, deep: bool = False) -> Problem:
    """A CNN-like chain: lognormal work, weights that grow and maps that shrink with depth, skips of two operations."""
    rng = random.Random(seed)
    made = []
    for i in range(n):
        depth = i / n
        compute = int(rng.lognormvariate(11.5, 1.0))
        weights = int(rng.lognormvariate(11.0, 1.3) * (0.2 + 2.8 * depth if deep else 1.0))
        made.append(
            op_cost(
                compute,
                name=f"op{i}",
                streamed_ns=max(compute, weights * 23 // 10),
                weight_bytes=weights,
                parameter_bytes=weights,
                cache_rank=n - i,
                scratch_bytes=int(rng.lognormvariate(12, 0.5) * (1.5 - depth)),
            )
        )
    tensors = [transfer(-1, 0, ns=rng.randrange(20_000, 400_000))]
    for i in range(n):
        readers = [i + 1] if i + 1 < n else []
        if i + 3 < n and rng.random() < 0.3:
            readers.append(i + 3)
        tensors.append(transfer(i, *readers, ns=rng.randrange(20_000, 400_000), is_output=i == n - 1))
    return Problem(
        name=f"chain of {n}",
        ops=tuple(made),
        transfers=tuple(tensors),
        cuts=tuple(range(1, n)),
        tpus=tpus,
        capacity_bytes=sum(op.weight_bytes for op in made) * 2 // (3 * tpus),
        overhead_ns=300_000,
    )
