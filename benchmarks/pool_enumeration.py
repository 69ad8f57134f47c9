"""Small pools against all of their plans: two kinds, three TPUs, three models, and links.

    python -m benchmarks.pool_enumeration [--first SEED] [--count N] [--again]

Each problem is solved with and without shared TPUs and with either; `generators.pools` prices all plans. What is
called optimal has to be, no bound may be above the optimum, and the checker has to prove again what is certified.
Writes benchmarks/results/pool_enumeration.json, a slice of 50 problems at a time: a run goes on where one was stopped.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace
from fractions import Fraction

from benchmarks.common import RESULTS, add_results, read_result
from generators.pools import best_exclusive_rate, best_shared_period, random_pool
from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import PoolCertificate
from segsolve.checker.pool.worth import prove_shared
from segsolve.pool.answer import PoolAnswer
from segsolve.pool.certificate import certificate
from segsolve.pool.model import PoolProblem, Sharing
from segsolve.pool.solve import solve_pool
from segsolve.solvers.base import Status

NAME = "pool_enumeration"
FIRST, COUNT, SLICE = 100_000, 2000, 50


def wrong(seed: int) -> list[str]:
    """Return what is wrong with the answers about a problem."""
    problem = random_pool(seed, linked=seed % 4 == 3)
    rate, shared = best_exclusive_rate(problem), best_shared_period(problem)
    alone = 1 / rate if rate else None
    found = [f"never shared: {fault}" for fault in _wrong(_asked(problem, Sharing.NEVER), alone)]
    if problem.models > 1:
        found += [f"shared: {fault}" for fault in _wrong(_asked(problem, Sharing.ALWAYS), shared)]
        best = shared if alone is None else min(alone, shared)
        found += [f"either: {fault}" for fault in _wrong(problem, best)]
    return found


def _asked(problem: PoolProblem, sharing: Sharing) -> PoolProblem:
    return replace(problem, workload=replace(problem.workload, sharing=sharing))


def _wrong(problem: PoolProblem, best: Fraction | None) -> list[str]:
    """Return what is wrong with an answer; `best` leaves links aside where TPUs are not shared."""
    answer, found = solve_pool(problem), []
    if best is None:
        return [] if answer.status is Status.INFEASIBLE else ["there is no plan, and none is called infeasible"]
    if answer.value is None:
        return ["no plan"]
    sharing = problem.workload.sharing
    is_exact = not problem.pool.links or sharing is Sharing.ALWAYS
    if is_exact and answer.value != best:
        found.append(f"the plan takes {answer.value}, the best {best}")
    if answer.bound > (best if is_exact else answer.value):
        found.append(f"the bound is {answer.bound}, the best plan takes {best}")
    if answer.certified > answer.bound:
        found.append(f"{answer.certified} is certified, the bound is {answer.bound}")
    if answer.shared is not None and sharing is Sharing.ALWAYS and answer.shared.period_ns >= best:
        found.append(f"potentials prove that no plan takes {answer.shared.period_ns}, one takes {best}")
    return found + _unproven(answer)


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
            problem = random_pool(seed, linked=seed % 4 == 3)
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
