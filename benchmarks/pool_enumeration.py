"""Small pools against all of their plans: two kinds, three TPUs, three models, links, and a host.

    python -m benchmarks.pool_enumeration [--first SEED] [--count N] [--again]

Each problem is solved with and without shared TPUs and with either; `generators.pools` prices all plans. What is
called optimal has to be, no bound may be above the optimum, and the checker has to prove again what is certified. Plans
with copies of models on shared TPUs are too many for that: where they are asked for, too, the answer is held to the
best of the others and to all models on every TPU, and its bound to plans with copies drawn at random, half of them with
the best shares.
Writes benchmarks/results/pool_enumeration.json, a slice of 50 problems at a time: a run goes on where one was stopped.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace
from fractions import Fraction

from benchmarks.common import RESULTS, add_results, read_result
from generators.pools import best_exclusive_period, best_exclusive_rate, best_shared_period, random_copies, random_pool
from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import PoolCertificate
from segsolve.checker.pool.resources import least_value
from segsolve.checker.pool.worth import prove_shared
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.certificate import certificate
from segsolve.pool.evaluate import score_pool
from segsolve.pool.model import PoolProblem, Sharing
from segsolve.pool.simple import simple_plans
from segsolve.pool.solve import solve_pool
from segsolve.solvers.base import Status

NAME = "pool_enumeration"
FIRST, COUNT, SLICE = 100_000, 2000, 50
COPIES = 20  # plans with copies of models, for each problem


def wrong(seed: int) -> list[str]:
    """Return what is wrong with the answers about a problem."""
    problem = _problem(seed)
    rate, shared = best_exclusive_rate(problem), best_shared_period(problem)
    alone = 1 / rate if rate else None
    if alone is not None and _is_limited(problem):
        counted = best_exclusive_period(problem)  # in floats, so that it is near to the answer's fraction only
        alone = max(alone, Fraction(counted or 0))
    found = [f"never shared: {fault}" for fault in _wrong(_asked(problem, Sharing.NEVER), alone)]
    if problem.models > 1:
        found += [f"shared: {fault}" for fault in _wrong(_asked(problem, Sharing.ALWAYS), shared)]
        best = shared if alone is None else min(alone, shared)
        found += [f"all: {fault}" for fault in _wrong_of_all(problem, best, seed)]
    return found


def _problem(seed: int) -> PoolProblem:
    """Return a problem; every fourth has a link, every fourth a host."""
    return random_pool(seed, linked=seed % 4 == 3, hosted=seed % 4 == 1 or seed % 8 == 7)


def _is_limited(problem: PoolProblem) -> bool:
    """Whether there is something that all TPUs share."""
    return bool(problem.pool.links or problem.host_cores)


def _wrong_of_all(problem: PoolProblem, best: Fraction, seed: int) -> list[str]:
    """Return what is wrong with an answer over all plans, the best without copies taking `best` at most."""
    answer, found = solve_pool(problem), []
    if answer.value is None:
        return ["no plan"]
    narrow = answer.narrow or (answer.bound, answer.certified)  # one TPU holds no copies
    if answer.value > best * (1 + Fraction(1, 10**6)):
        found.append(f"the plan takes {answer.value}, the best without copies {best}")
    if narrow[0] > best * (1 + Fraction(1, 10**6)) or answer.bound > narrow[0]:
        found.append(f"the bounds are {answer.bound} and {narrow[0]} without copies, the best takes {best}")
    simple = min(score_pool(problem, plan).period for plan in simple_plans(problem).values())
    if answer.value > simple:
        found.append(f"the plan takes {answer.value}, a simple use {simple}")
    for number in range(COPIES):
        plan = random_copies(problem, COPIES * seed + number)
        if (period := score_pool(problem, plan).period) < answer.bound:
            found.append(f"the bound is {answer.bound}, a plan with copies takes {period}")
    return found + _unproven(answer)


def _asked(problem: PoolProblem, sharing: Sharing) -> PoolProblem:
    return replace(problem, workload=replace(problem.workload, sharing=sharing))


def _wrong(problem: PoolProblem, best: Fraction | None) -> list[str]:
    """Return what is wrong with an answer about plans of which the best takes `best`."""
    answer, found = solve_pool(problem), []
    if best is None:
        return [] if answer.status is Status.INFEASIBLE else ["there is no plan, and none is called infeasible"]
    if answer.value is None:
        return ["no plan"]
    sharing = problem.workload.sharing
    if abs(answer.value - best) > best * _near(problem):
        found.append(f"the plan takes {answer.value}, the best {best}")
    if answer.bound > best * (1 + _near(problem)):
        found.append(f"the bound is {answer.bound}, the best plan takes {best}")
    if answer.certified > answer.bound:
        found.append(f"{answer.certified} is certified, the bound is {answer.bound}")
    if answer.shared is not None and sharing is Sharing.ALWAYS and answer.shared.period_ns >= best:
        found.append(f"potentials prove that no plan takes {answer.shared.period_ns}, one takes {best}")
    return found + _unproven(answer)


def _near(problem: PoolProblem) -> Fraction:
    """How near the oracle comes."""
    is_exact = problem.workload.sharing is Sharing.ALWAYS or not _is_limited(problem)
    return Fraction(0) if is_exact else Fraction(1, 10**6)


def _unproven(answer: PoolAnswer) -> list[str]:
    """Return why the checker does not believe the potentials, if so."""
    if answer.plan is None or answer.shared is None:
        return []
    document = certificate(answer, answer.plan)
    if document is None:
        return []
    read = PoolCertificate.model_validate(document | {"binding": {"pool_sha256": "0" * 64, "models": []}})
    if read.shared is None:
        return ["the certificate has no potentials"]
    try:
        prove_shared(read, read.shared)
        if answer.prices is not None and least_value(read, list(answer.prices.all)) < answer.bound:
            return ["the prices do not prove the bound"] if answer.narrow is not None else []
    except CertificateFault as fault:
        return [str(fault)]
    return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--again", action="store_true", help="do slices again that are done")
    given = parser.parse_args()
    for first in range(given.first, given.first + given.count, SLICE):
        done = read_result(NAME)["slices"] if (RESULTS / f"{NAME}.json").exists() else {}
        seeds = range(first, min(first + SLICE, given.first + given.count))
        name = f"{seeds[0]}-{seeds[-1]}"
        if name in done and not given.again:
            continue
        start, faults, kinds = time.process_time(), [], Counter[str]()
        for seed in seeds:
            problem = _problem(seed)
            kinds[f"{problem.models} models on {'+'.join(map(str, problem.pool.counts))}"] += 1
            for fault in wrong(seed):
                faults.append(f"{seed}: {fault}")
                print(faults[-1], flush=True)
        part = {
            "problems": len(seeds),
            "wrong": faults,
            "process_s": round(time.process_time() - start, 1),
            "of": dict(sorted(kinds.items())),
        }
        add_results(NAME, "slices", {name: part})


if __name__ == "__main__":
    main()
