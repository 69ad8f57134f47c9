"""Problems: built by hand in a line, small ones by seed, and large ones for what only scale shows."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from segsolve.problem import OpCost, Problem, Transfer


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


def small_problem(seed: int) -> Problem:
    """A problem of up to 30 operations with skips, spill, illegal cuts, and every third with `no_spill`."""
    rng = random.Random(seed)
    n = rng.randint(1, 30)
    ranks = rng.sample(range(n), n)
    return Problem(
        name=f"small {seed}",
        ops=tuple(_op(rng, rank) for rank in ranks),
        transfers=tuple(_transfer(rng, producer, n) for producer in range(-1, n)),
        cuts=tuple(c for c in range(1, n) if rng.random() < 0.8),
        tpus=rng.randint(1, 8),
        capacity_bytes=rng.randint(0, 200),
        overhead_ns=rng.randint(0, 20),
        no_spill=seed % 3 == 0,
    )


def medium_problem(seed: int) -> Problem:
    """A chain of 40 to 200 operations."""
    rng = random.Random(seed)
    problem = large_chain(rng.randint(40, 200), rng.randint(2, 12), seed, deep=seed % 2 == 0)
    return replace(problem, capacity_bytes=round(problem.capacity_bytes * rng.uniform(0.3, 3)), no_spill=seed % 5 == 0)


def _op(rng: random.Random, rank: int) -> OpCost:
    compute, weights = rng.randint(0, 100), rng.choice((0, rng.randint(0, 60)))
    return OpCost(
        name=f"op{rank}",
        compute_ns=compute,
        streamed_ns=compute + (rng.randint(0, 80) if weights else 0),
        weight_bytes=weights,
        streamed_bytes=weights,
        parameter_bytes=weights,
        cacheable=rng.random() < 0.9,
        cache_rank=rank,
        scratch_bytes=rng.randint(0, 50),
        link_bytes=7 * rank % 20,
    )


def _transfer(rng: random.Random, producer: int, n: int) -> Transfer:
    later = range(producer + 1, n)
    consumers = set(rng.sample(later, min(len(later), rng.choice((0, 1, 1, 2, 3)))))
    if later and rng.random() < 0.7:
        consumers.add(producer + 1)
    return Transfer(
        name=f"t{producer}",
        nbytes=rng.randint(0, 50),
        producer=producer,
        consumers=tuple(sorted(consumers)),
        is_output=producer == n - 1,
        input_ns=rng.randint(0, 30),
        output_ns=rng.randint(0, 30),
        scratch_bytes=rng.choice((0, 0, 0, rng.randint(1, 100))),
    )
