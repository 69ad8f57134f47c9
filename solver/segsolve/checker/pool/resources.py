"""Whether prices of resources show that no plan, whatever its copies and replicas, is better than some time.

A pipeline that does a part of its model's inferences takes that part of the times of its stages, and at least that part
of the memory of their weights. So what all models cost at the least is no more than what all there is in a period
costs: the time of the devices, of links and of the host, and the memory of the devices. Where the rates, and so the
period, are given, each model's latency has a price as well, of which a pipeline takes its own time. Whoever lives on a
device may wait there for all others, so that what its residents take, an inference each, is no more than the worst
latency: the devices of a kind have so much of that in turns, which has a price by kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np

from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import PoolCertificate
from segsolve.checker.pool.fits import fits_of
from segsolve.checker.rows import FORBIDDEN

_MOST = 2**62


@dataclass(frozen=True, kw_only=True)
class _Prices:
    time: list[int]
    memory: list[int]
    links: list[int]
    host: int
    cores: int
    latency: list[int]
    turns: list[int]


def least_value(certificate: PoolCertificate, prices: list[int]) -> Fraction:
    """Return what no plan is below by these prices, in ns: a period, or a worst latency at the rates that are wanted.

    Raises:
        CertificateFault: they are too large to be added up, or none of them is of what is to be bounded.
    """
    parts = iter(prices)
    kinds, links = len(certificate.kinds), len(certificate.links)
    of = _Prices(
        time=list(islice(parts, kinds)),
        memory=list(islice(parts, kinds)),
        links=list(islice(parts, links)),
        host=next(parts),
        cores=next(parts),
        latency=list(islice(parts, len(certificate.models))),
        turns=[*parts] or [0] * kinds,  # older releases had none
    )
    counts = [kind.count for kind in certificate.kinds]
    in_a_ns = sum(n * own for n, own in zip(counts, of.time, strict=True)) + sum(of.links) + of.host
    in_a_ns += of.cores * certificate.host_cores
    always = 0
    for k, (count, price) in enumerate(zip(counts, of.memory, strict=True)):
        always += count * price * min(row[k].capacity_bytes for row in certificate.problems)
    if certificate.objective == "latency":
        assert certificate.wanted is not None, "it was read"
        per_s, parts_of_s = certificate.wanted
        always += -(-(10**9) * parts_of_s // per_s) * in_a_ns
        in_a_ns = sum(of.latency) + sum(n * own for n, own in zip(counts, of.turns, strict=True))
    if not in_a_ns:
        raise CertificateFault("the prices are of no resource of which there is more in a longer time")
    needed = sum(_cheapest(certificate, m, of) for m in range(len(certificate.models)))
    return max(Fraction(0), Fraction(needed - always, in_a_ns))


def _cheapest(certificate: PoolCertificate, m: int, of: _Prices) -> int:
    """Return the least that the inferences of a model in a period cost."""
    row, model, weight = certificate.problems[m], certificate.models[m], certificate.models[m].weight
    driven = of.host + of.cores
    states = len(row[0].cuts) + 2
    cost = np.full((states, states), _MOST, dtype=np.int64)
    for k, problem in enumerate(row):
        soon = (of.latency[m] if of.latency else 0) + of.turns[k]
        fits = fits_of(problem, FORBIDDEN - 1, model, certificate.kinds[k].name)
        for_ever = fits.time >= FORBIDDEN
        numbers = [i for i, link in enumerate(certificate.links) if link.name == certificate.kinds[k].link]
        rate = certificate.links[numbers[0]].ns_per_mib if numbers else 0
        of_link = of.links[numbers[0]] if numbers else 0
        serial, _, _ = certificate.host_ns(m, k)
        possible = ~for_ever
        if not possible.any():
            continue
        spans = int(fits.time[possible].max()), int(fits.used.max()), int(fits.moved.max())
        most = weight * (spans[0] * of.time[k] + (spans[2] * rate >> 20) * of_link + serial * driven) + spans[0] * soon
        if (most + spans[1] * of.memory[k]) * states >= _MOST or spans[2] * rate >= _MOST:
            raise CertificateFault("the prices are too large to be added up")
        time = fits.time * possible
        own = weight * (time * of.time[k] + (fits.moved * rate >> 20) * of_link + serial * driven)
        own = np.where(for_ever, _MOST, own + fits.used * of.memory[k] + time * soon)
        np.minimum.at(cost, (fits.first[fits.stage], fits.last[fits.stage]), own)
    least = [0]
    for b in range(1, states):
        ways = [least[a] + int(cost[a, b]) for a in range(b)]
        least.append(min(ways))
    if least[-1] >= _MOST:
        raise CertificateFault(f"{certificate.models[m].name} has no plan at all")
    once = [certificate.host_ns(m, k) for k in range(len(row))]
    on_host, on_cores = min(frame for _, frame, _ in once), min(frame + work for _, frame, work in once)
    return least[-1] + weight * (on_host * of.host + on_cores * of.cores)
