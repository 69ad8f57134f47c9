"""Small pools with several models, and all of their plans, priced by the evaluator alone: the oracle of pools."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import combinations, permutations, product

from segsolve.cost.stage import stage_score
from segsolve.pool.evaluate import PoolScore, device_scores, score_pool
from segsolve.pool.model import Demand, Goal, Kind, Pool, PoolProblem, Sharing, Workload
from segsolve.pool.plan import PoolPipeline, PoolPlan, PoolStage, by_first_stage
from segsolve.problem import Host, OpCost, Problem, SharedLink, Transfer
from segsolve.question.kept import Constraints
from segsolve.solvers.prices import least_load


def random_pool(
    seed: int, *, models: int = 3, devices: int = 3, kinds: int = 2, linked: bool = False, hosted: bool = False
) -> PoolProblem:
    """Return a pool of up to so many kinds and devices, with up to so many models of two to four operations.

    Some devices are on a link if it is `linked`, all are driven by a host with little time if it is `hosted`.
    """
    rng = random.Random(seed)
    kind_count = rng.randint(1, kinds)
    counts = [1] * kind_count
    for _ in range(rng.randint(0, max(0, devices - kind_count))):
        counts[rng.randrange(kind_count)] += 1
    links = (("cable", SharedLink(ns_per_mib=rng.choice((200_000, 900_000, 4_000_000)))),) if linked else ()
    pool = Pool(
        kinds=tuple(
            Kind(name=f"kind{k}", count=n, link="cable" if linked and (k == 0 or rng.random() < 0.5) else None)
            for k, n in enumerate(counts)
        ),
        links=links,
    )
    demands = tuple(Demand(model=f"model{m}", weight=rng.randint(1, 5)) for m in range(rng.randint(1, models)))
    speeds = [(rng.choice((0, 50, 400)), rng.uniform(0.5, 2.0), rng.randint(6, 16) * 100) for _ in counts]
    networks = [_network(rng) for _ in demands]
    costs = tuple(
        tuple(_problem(f"model{m}", network, count, *speed) for count, speed in zip(counts, speeds, strict=True))
        for m, network in enumerate(networks)
    )
    if hosted:
        cores, serial, work = rng.randint(1, 3), [rng.choice((20, 150, 500)) for _ in counts], rng.choice((0, 300))
        hosts = [Host(cores=cores, serial_ns=ns, work_ns=work, frame_ns=rng.choice((0, 80, 400))) for ns in serial]
        costs = tuple(tuple(replace(p, host=host) for p, host in zip(row, hosts, strict=True)) for row in costs)
    return PoolProblem(pool=pool, workload=Workload(demands=demands), costs=costs)


def random_copies(problem: PoolProblem, seed: int) -> PoolPlan:
    """Return a valid plan with some copies of models on devices that are shared, and shares that make up a whole.

    A seed that is even gives them the best shares there are, up to what is rounded.
    """
    rng = random.Random(seed)
    pipelines = list(random_placement(problem, seed).pipelines)
    for number in range(rng.randint(1, 4)):
        held = {(p.model, d) for p in pipelines for stage in p.stages for d in stage.devices}
        more = random_placement(problem, 1000 * seed + number).pipelines
        pipelines += [p for p in more if all((p.model, d) not in held for stage in p.stages for d in stage.devices)][:1]
    pipelines.sort(key=lambda pipeline: pipeline.model)
    models = [pipeline.model for pipeline in pipelines]
    parts = [Fraction(rng.randint(1, 9)) for _ in pipelines]
    if seed % 2 == 0:
        equal = tuple(replace(p, share=Fraction(1, models.count(p.model))) for p in pipelines)
        score = score_pool(problem, by_first_stage(equal, len(problem.pool.devices)))
        parts = [Fraction(round(max(1e-6, x) * 10**9)) for x in least_load(score.loads_of_pipelines, models)[1]]
    totals = {m: sum(part for part, other in zip(parts, models, strict=True) if other == m) for m in models}
    shared = tuple(replace(p, share=part / totals[p.model]) for p, part in zip(pipelines, parts, strict=True))
    plan = by_first_stage(shared, len(problem.pool.devices))
    return replace(plan, residents=tuple(tuple(rng.sample(own, len(own))) for own in plan.residents))


def random_placement(problem: PoolProblem, seed: int) -> PoolPlan:
    """Return a valid plan: a pipeline per model, cut anywhere, on any devices, which models may share."""
    rng = random.Random(seed)
    devices = len(problem.pool.devices)
    pipelines = []
    for model, row in enumerate(problem.costs):
        size = rng.randint(1, min(len(row[0].cuts) + 1, devices))
        cuts = sorted(rng.sample(row[0].cuts, size - 1))
        spans = zip((0, *cuts), (*cuts, len(row[0].ops)), strict=True)
        where = rng.sample(range(devices), size)
        stages = [PoolStage(ops=tuple(range(a, b)), devices=(d,)) for (a, b), d in zip(spans, where, strict=True)]
        pipelines.append(PoolPipeline(model=model, stages=tuple(stages)))
    return by_first_stage(tuple(pipelines), devices)


@dataclass(frozen=True)
class _Layer:
    compute: int
    stream: int
    weight: int
    scratch: int
    out: int
    rank: int


def _network(rng: random.Random) -> list[_Layer]:
    layers = rng.randint(2, 4)
    return [
        _Layer(
            compute=rng.randint(10, 600),
            stream=rng.randint(0, 1500),
            weight=rng.choice((0, rng.randint(1, 900), rng.randint(1, 400))),
            scratch=rng.choice((0, 0, rng.randint(1, 200))),
            out=rng.randint(1, 60),
            rank=rng.randint(0, 2),
        )
        for _ in range(layers)
    ]


def _problem(name: str, network: list[_Layer], tpus: int, overhead: int, slow: float, capacity: int) -> Problem:
    n = len(network)
    ops = tuple(
        OpCost(
            name=f"{name}.{i}",
            compute_ns=round(layer.compute * slow),
            streamed_ns=round(layer.compute * slow) + layer.stream * bool(layer.weight),
            weight_bytes=layer.weight,
            streamed_bytes=layer.weight,
            parameter_bytes=layer.weight,
            cacheable=True,
            cache_rank=layer.rank,
            scratch_bytes=layer.scratch,
            link_bytes=7 * i % 13,
        )
        for i, layer in enumerate(network)
    )
    transfers = tuple(
        Transfer(
            name=f"{name}.t{i}",
            nbytes=layer.out,
            producer=i,
            consumers=(i + 1,) if i + 1 < n else (),
            is_output=i + 1 == n,
            input_ns=layer.out,
            output_ns=layer.out,
        )
        for i, layer in enumerate(network)
    )
    return Problem(
        name=name,
        ops=ops,
        transfers=transfers,
        cuts=tuple(range(1, n)),
        tpus=tpus,
        capacity_bytes=capacity,
        overhead_ns=overhead,
    )


def best_exclusive_rate(problem: PoolProblem) -> Fraction:
    """Return the largest number of periods per ns without sharing, links and host left aside, by trying everything."""
    counts = problem.pool.counts
    vectors = list(product(*(range(n + 1) for n in counts)))
    curves = [_rates(problem, m, vectors) for m in range(problem.models)]
    best = Fraction(0)
    for given in product(vectors, repeat=problem.models):
        if all(sum(k[c] for k in given) <= n for c, n in enumerate(counts)):
            rate = min(curves[m][k] / w for m, (k, w) in enumerate(zip(given, problem.workload.weights, strict=True)))
            best = max(best, rate)
    return best


def best_exclusive_period(problem: PoolProblem) -> float | None:
    """Return the least period without sharing, links and host counted and shares as they are best, by trying all."""
    return min((period for period, _, _ in exclusive_plans(problem)), default=None)


def exclusive_plans(problem: PoolProblem) -> Iterator[tuple[float, PoolScore, PoolPlan]]:
    """Yield all plans without sharing, whatever they keep, with their periods at the best shares."""
    counts = problem.pool.counts
    ways = [list(_side_by_side(list(_pipelines(problem, m)), counts)) for m in range(problem.models)]
    for chosen in product(*ways):
        used = [
            sum(s[1] == k for own in chosen for p in own for s in p for _ in range(s[2])) for k in range(len(counts))
        ]
        if any(a > b for a, b in zip(used, counts, strict=True)):
            continue
        free = [[d for d, kind in enumerate(problem.pool.devices) if kind == k] for k in range(len(counts))]
        pipelines = [
            PoolPipeline(
                model=m,
                stages=tuple(PoolStage(ops=ops, devices=tuple(free[k].pop() for _ in range(r))) for ops, k, r in own),
                share=Fraction(1, len(side)),
            )
            for m, side in enumerate(chosen)
            for own in side
        ]
        plan = by_first_stage(tuple(pipelines), len(problem.pool.devices))
        score = score_pool(problem, plan)
        yield least_load(score.loads_of_pipelines, [p.model for p in pipelines])[0], score, plan


_Stages = tuple[tuple[tuple[int, ...], int, int], ...]  # operations, kind, replicas


def _pipelines(problem: PoolProblem, model: int) -> Iterator[_Stages]:
    counts, n = problem.pool.counts, len(problem.costs[model][0].ops)
    for size in range(1, n + 1):
        for cuts in combinations(problem.costs[model][0].cuts, size - 1):
            spans = [tuple(range(a, b)) for a, b in zip((0, *cuts), (*cuts, n), strict=True)]
            for choice in product(*[[(c, r) for c, most in enumerate(counts) for r in range(1, most + 1)]] * size):
                if all(sum(r for c, r in choice if c == k) <= most for k, most in enumerate(counts)):
                    yield tuple((ops, c, r) for ops, (c, r) in zip(spans, choice, strict=True))


def _side_by_side(known: list[_Stages], counts: tuple[int, ...]) -> Iterator[tuple[_Stages, ...]]:
    """Yield all that one model can have on some devices: a pipeline at least."""
    for number, own in enumerate(known):
        left = tuple(n - sum(r for _, c, r in own if c == k) for k, n in enumerate(counts))
        if min(left) >= 0:
            yield (own,)
            yield from ((own, *others) for others in _side_by_side(known[number:], left))


def _rates(problem: PoolProblem, model: int, vectors: list[tuple[int, ...]]) -> dict[tuple[int, ...], Fraction]:
    """Return for each vector the largest rate of any set of pipelines."""
    alone: dict[tuple[int, ...], int] = {}
    n = len(problem.costs[model][0].ops)
    for size in range(1, n + 1):
        for cuts in combinations(problem.costs[model][0].cuts, size - 1):
            spans = list(zip((0, *cuts), (*cuts, n), strict=True))
            for choice in product(
                *[[(c, r) for c, most in enumerate(problem.pool.counts) for r in range(1, most + 1)]] * size
            ):
                used = tuple(sum(r for c, r in choice if c == kind) for kind in range(len(problem.pool.counts)))
                if any(a > b for a, b in zip(used, problem.pool.counts, strict=True)):
                    continue
                worst = max(
                    -(-stage_score(problem.costs[model][c], range(*span)).time_ns // r)
                    for span, (c, r) in zip(spans, choice, strict=True)
                )
                alone[used] = min(alone.get(used, worst), worst)

    @cache
    def most(k: tuple[int, ...]) -> Fraction:
        return max(
            (
                Fraction(1, max(1, b)) + most(tuple(x - y for x, y in zip(k, used, strict=True)))
                for used, b in alone.items()
                if all(x >= y for x, y in zip(k, used, strict=True))
            ),
            default=Fraction(0),
        )

    return {k: most(k) for k in vectors}


def best_shared_period(problem: PoolProblem) -> Fraction:
    """Return the least period of one pipeline per model, TPUs shared, in any co-compilation order, by trying all."""
    pool = problem.pool
    placements = [list(_placements(problem, m)) for m in range(problem.models)]
    known: dict[tuple[int, frozenset[tuple[int, int, int]]], list[tuple[int, tuple[int, ...]]]] = {}
    best: Fraction | None = None
    for chosen in product(*placements):
        held: dict[int, list[tuple[int, int, int]]] = {}
        for m, stages in enumerate(chosen):
            for a, b, device in stages:
                held.setdefault(device, []).append((m, a, b))
        options = []
        for device, residents in held.items():
            key = (pool.devices[device], frozenset(residents))
            if key not in known:
                known[key] = list(_orders(problem, *key))
            options.append([(pool.devices[device], *order) for order in known[key]])
        serial, cores = _host_loads(problem, chosen)
        period_of_host = max(Fraction(serial), Fraction(cores, max(1, problem.host_cores)))
        if not pool.links:
            period = Fraction(max(min(load for _, load, _ in option) for option in options))
            period = max(period, period_of_host)
            best = period if best is None else min(best, period)
            continue
        for orders in product(*options):
            period = max(Fraction(max(load for _, load, _ in orders)), period_of_host)
            for number, (name, link) in enumerate(pool.links):
                moved = sum(m[number] for kind, _, m in orders if pool.kinds[kind].link == name)
                period = max(period, Fraction(moved * link.ns_per_mib, 2**20))
            best = period if best is None else min(best, period)
    assert best is not None
    return best


def _host_loads(problem: PoolProblem, chosen: tuple[tuple[tuple[int, int, int], ...], ...]) -> tuple[int, int]:
    """Return what a period of one pipeline per model occupies the host and all its cores for."""
    serial = work = 0
    for row, weight, stages in zip(problem.costs, problem.workload.weights, chosen, strict=True):
        hosts = [row[problem.pool.devices[device]].host for _, _, device in stages]
        serial += weight * (sum(host.serial_ns for host in hosts if host) + (hosts[0].frame_ns if hosts[0] else 0))
        work += weight * (hosts[0].work_ns if hosts[0] else 0)
    return serial, serial + work


def _placements(problem: PoolProblem, model: int) -> Iterator[tuple[tuple[int, int, int], ...]]:
    cuts, n = problem.costs[model][0].cuts, len(problem.costs[model][0].ops)
    devices = range(len(problem.pool.devices))
    for size in range(1, min(n, len(devices)) + 1):
        for chosen in combinations(cuts, size - 1):
            for where in permutations(devices, size):
                yield tuple(zip((0, *chosen), (*chosen, n), where, strict=True))


def _orders(
    problem: PoolProblem, kind: int, residents: frozenset[tuple[int, int, int]]
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the load, and the bytes moved per link, of each order of a device's residents; equal ones once."""
    weights, seen = problem.workload.weights, set()
    for order in permutations(sorted(residents)):
        scores = device_scores([problem.costs[m][kind] for m, _, _ in order], [range(a, b) for _, a, b in order])
        load = sum(weights[m] * s.time_ns for (m, _, _), s in zip(order, scores, strict=True))
        moved = sum(weights[m] * s.moved_bytes for (m, _, _), s in zip(order, scores, strict=True))
        found = (load, (moved,) * len(problem.pool.links))
        if found not in seen:
            seen.add(found)
            yield found


def extreme_pool(seed: int) -> PoolProblem:
    """Return a pool at the edges of what is supported, or beyond them.

    Costs of nothing, of a nanosecond and of as much as may be; links and hosts that cost nothing or everything; weights
    of a few bytes and of gigabytes; up to 30 models, 1,000 devices; weights and rates from one end to the other.

    Raises:
        DeviceError: its costs add up to more than is supported.
    """
    rng = random.Random(f"extreme {seed}")
    models, devices = rng.choice(((1, 2), (2, 3), (3, 3), (4, 8), (30, 4), (2, 1000), (8, 100)))
    known = random_pool(seed, models=models, devices=devices, linked=rng.random() < 0.4, hosted=rng.random() < 0.4)
    beyond = 2**58 if rng.random() < 0.1 else 0
    slower, larger = rng.choice((0, 1, 2**20, 2**26, 2**34, beyond)), rng.choice((0, 1, 2**10, 2**22))
    roomier, host = rng.choice((0, 1, 2**10, 2**30, 2**40)), rng.choice((0, 1, 2**26, 2**34))
    link = rng.choice((0, 1, 2**22, 2**30, beyond))
    costs = tuple(tuple(multiplied(problem, slower, larger, roomier, host) for problem in row) for row in known.costs)
    links = tuple((name, SharedLink(ns_per_mib=link)) for name, _ in known.pool.links)
    heaviest = rng.choice((1, 5, 10_000))
    demands = tuple(replace(d, weight=rng.randint(1, heaviest)) for d in known.workload.demands)
    scale = rng.choice((None, None, Fraction(1, 10**9), Fraction(10**12), Fraction(10**15 + 1, 10**15 - 3)))
    goal = Goal.LATENCY if scale is not None and rng.random() < 0.3 else Goal.RATES
    if rng.random() < 0.2:
        demands = tuple(replace(d, kept=Constraints.of(max_latency_ns=rng.choice((1, 10**9, 10**15)))) for d in demands)
    workload = Workload(demands=demands, scale_fps=scale, goal=goal, sharing=rng.choice(tuple(Sharing)))
    return PoolProblem(pool=replace(known.pool, links=links), workload=workload, costs=costs)


def multiplied(problem: Problem, slower: int = 1, larger: int = 1, roomier: int = 1, host: int = 1) -> Problem:
    """Return a problem with its times, bytes, memory and host's times multiplied."""
    return replace(
        problem,
        ops=tuple(
            replace(
                op,
                compute_ns=op.compute_ns * slower,
                streamed_ns=op.streamed_ns * slower,
                weight_bytes=op.weight_bytes * larger,
                streamed_bytes=op.streamed_bytes * larger,
                parameter_bytes=op.parameter_bytes * larger,
                scratch_bytes=op.scratch_bytes * larger,
            )
            for op in problem.ops
        ),
        transfers=tuple(
            replace(t, nbytes=t.nbytes * larger, input_ns=t.input_ns * slower, output_ns=t.output_ns * slower)
            for t in problem.transfers
        ),
        capacity_bytes=problem.capacity_bytes * roomier,
        overhead_ns=problem.overhead_ns * slower,
        host=problem.host
        and replace(
            problem.host,
            serial_ns=problem.host.serial_ns * host,
            work_ns=problem.host.work_ns * host,
            frame_ns=problem.host.frame_ns * host,
        ),
    )
