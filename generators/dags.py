"""Problems whose operations depend on each other as in any DAG, by seed, of any size and width."""

from __future__ import annotations

import random
from dataclasses import replace

from generators.problems import op_cost
from segsolve.problem import OpCost, Problem, Transfer


def random_dag(n: int, tpus: int, seed: int, *, width: int = 3, cpus: int = 0, memory: float | None = None) -> Problem:
    """A layered DAG of `n` operations, about `width` side by side; `memory`: hard, as a multiple of an even share."""
    rng = random.Random(seed)
    sizes = [rng.randint(0, 40) for _ in range(n)]
    readers: list[set[int]] = [set() for _ in range(n)]
    for i in range(1, n):
        back = range(max(0, i - 2 * width), i)
        for before in rng.sample(back, min(len(back), rng.choice((1, 1, 2)))):
            readers[before].add(i)
    return Problem(
        name=f"dag {seed}",
        ops=tuple(_op(rng, i, size, cpus, memory is not None) for i, size in enumerate(sizes)),
        transfers=tuple(_transfer(rng, i, readers[i]) for i in range(n)),
        cuts=tuple(range(1, n)),
        tpus=tpus,
        cpus=cpus,
        capacity_bytes=10**6 if memory is None else round(sum(sizes) / tpus * memory) + 1,
        overhead_ns=0 if cpus else rng.randint(0, 5),
        no_spill=memory is not None,
    )


def spilling_dag(n: int, tpus: int, seed: int) -> Problem:
    """A DAG whose weights do not all fit, with scratch memory, ranks and weights that are never cached."""
    rng = random.Random(seed)
    base = random_dag(n, tpus, seed)
    ranks = rng.sample(range(n), n)
    ops = []
    for rank, op in zip(ranks, base.ops, strict=True):
        weights = rng.choice((0, rng.randint(1, 30)))
        streamed = op.compute_ns + (rng.randint(0, 30) if weights else 0)
        ops.append(
            op_cost(
                op.compute_ns,
                name=op.name,
                streamed_ns=streamed,
                weight_bytes=weights,
                cacheable=rng.random() < 0.9,
                cache_rank=rank,
                scratch_bytes=rng.randint(0, 15),
            )
        )
    return Problem(
        name=base.name,
        ops=tuple(ops),
        transfers=_with_scratch(base.transfers, seed),
        cuts=base.cuts,
        tpus=tpus,
        capacity_bytes=rng.randint(10, 60),
        overhead_ns=base.overhead_ns,
        no_spill=rng.random() < 0.3,
    )


def _with_scratch(transfers: tuple[Transfer, ...], seed: int) -> tuple[Transfer, ...]:
    """Let some tensors take memory from the stages that bring them in, one or the other all that there is."""
    rng = random.Random(f"{seed} inputs")
    return tuple(
        replace(t, scratch_bytes=rng.choice((0, 0, 0, 0, 0, 0, rng.randint(1, 15), rng.randint(10, 25), 99)))
        for t in transfers
    )


def _op(rng: random.Random, i: int, size: int, cpus: int, hard: bool) -> OpCost:
    compute = rng.choice((0, rng.randint(1, 40), rng.randint(1, 40)))
    on_core = compute * rng.randint(1, 5) if rng.random() < 0.8 else None
    return op_cost(
        compute,
        name=f"op{i}",
        weight_bytes=size if hard else 0,
        cache_rank=i,
        cpu_ns=on_core if cpus else None,
        on_accelerator=not cpus or on_core is None or rng.random() < 0.9,
    )


def _transfer(rng: random.Random, i: int, readers: set[int]) -> Transfer:
    ns = rng.randint(0, 12)
    return Transfer(
        name=f"t{i}",
        nbytes=0,
        producer=i,
        consumers=tuple(sorted(readers)),
        is_output=not readers and rng.random() < 0.5,
        input_ns=ns,
        output_ns=ns if rng.random() < 0.7 else rng.randint(0, 12),
    )
