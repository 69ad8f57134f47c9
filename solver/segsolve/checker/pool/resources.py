"""Whether prices of resources show that no plan, whatever its copies and replicas, has a period below some time.

A pipeline that does a part of its model's inferences takes that part of the times of its stages, and at least that part
of the memory of their weights. So what all models cost at the least is no more than what all there is in a period
costs: the time of the devices, of links and of the host, and the memory of the devices.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import PoolCertificate
from segsolve.checker.pool.fits import fits_of
from segsolve.checker.rows import FORBIDDEN

_MOST = 2**62


def least_period(certificate: PoolCertificate, prices: list[int]) -> Fraction:
    """Return the period in ns that no plan is below by these prices.

    Raises:
        CertificateFault: they are too large to be added up, or none of them is of a time.
    """
    kinds, links = len(certificate.kinds), len(certificate.links)
    time, memory, of_links = prices[:kinds], prices[kinds : 2 * kinds], prices[2 * kinds : 2 * kinds + links]
    host, cores = prices[2 * kinds + links :]
    counts = [kind.count for kind in certificate.kinds]
    in_a_ns = sum(n * own for n, own in zip(counts, time, strict=True)) + sum(of_links) + host
    in_a_ns += cores * certificate.host_cores
    if not in_a_ns:
        raise CertificateFault("the prices are of no resource of which there is more in a longer period")
    always = 0
    for k, (count, price) in enumerate(zip(counts, memory, strict=True)):
        always += count * price * min(row[k].capacity_bytes for row in certificate.problems)
    needed = sum(_cheapest(certificate, m, time, memory, of_links, host, cores) for m in range(len(certificate.models)))
    return max(Fraction(0), Fraction(needed - always, in_a_ns))


def _cheapest(
    certificate: PoolCertificate,
    m: int,
    time: list[int],
    memory: list[int],
    links: list[int],
    host: int,
    cores: int,
) -> int:
    """Return the least that the inferences of a model in a period cost."""
    row, weight = certificate.problems[m], certificate.models[m].weight
    states = len(row[0].cuts) + 2
    cost = np.full((states, states), _MOST, dtype=np.int64)
    for k, problem in enumerate(row):
        fits = fits_of(problem, FORBIDDEN - 1)
        for_ever = fits.time >= FORBIDDEN
        numbers = [i for i, link in enumerate(certificate.links) if link.name == certificate.kinds[k].link]
        rate = certificate.links[numbers[0]].ns_per_mib if numbers else 0
        of_link = links[numbers[0]] if numbers else 0
        serial, _ = certificate.host_ns(m, k)
        possible = ~for_ever
        if not possible.any():
            continue
        spans = int(fits.time[possible].max()), int(fits.used.max()), int(fits.moved.max())
        most = weight * (spans[0] * time[k] + (spans[2] * rate >> 20) * of_link + serial * (host + cores))
        if (most + spans[1] * memory[k]) * states >= _MOST or spans[2] * rate >= _MOST:
            raise CertificateFault("the prices are too large to be added up")
        own = weight * (fits.time * possible * time[k] + (fits.moved * rate >> 20) * of_link + serial * (host + cores))
        own = np.where(for_ever, _MOST, own + fits.used * memory[k])
        np.minimum.at(cost, (fits.first[fits.stage], fits.last[fits.stage]), own)
    least = [0]
    for b in range(1, states):
        ways = [least[a] + int(cost[a, b]) for a in range(b)]
        least.append(min(ways))
    if least[-1] >= _MOST:
        raise CertificateFault(f"{certificate.models[m].name} has no plan at all")
    work = min(certificate.host_ns(m, k)[1] for k in range(len(row)))
    return least[-1] + weight * work * cores
