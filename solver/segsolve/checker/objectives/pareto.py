"""All plans that no other betters in TPUs, throughput and latency at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

from segsolve.checker.bounds import Corner, corners, most_rate
from segsolve.checker.document import Certificate
from segsolve.checker.objective import Objective, layout, leaves_room, most_rate_fed
from segsolve.checker.plans import Priced
from segsolve_runtime.contract.wording import exact_ms


class Pareto(Objective):
    """A front."""

    is_time = False
    has_points = True

    def value(self, found: Priced, certificate: Certificate) -> Fraction:
        """Return 0: it is the points that count."""
        return Fraction(0)

    def least(self, certificate: Certificate, work_ns: Fraction) -> Fraction:
        """Return 0."""
        return Fraction(0)

    def prove(self, certificate: Certificate) -> str:
        """Return it, as `Objective` says."""
        question, tpus = certificate.question, certificate.problem.tpus
        limit = question.constraints.most_latency_ns
        steps = corners(certificate.claims, "latency", tpus=tpus, latency_ns=limit)
        points = [(count, latency, Fraction(*rate)) for count, latency, rate in certificate.points]
        allows = question.constraints.allow_rate
        for latency in sorted({latency for step in steps for _, latency in step} | _ends(certificate, limit)):
            floors = [_floor(step, latency) for step in steps]
            for count, alone in enumerate(most_rate(floors, single=question.layout == "pipeline")):
                known = max((r for n, ns, r in points if n <= count and ns <= latency), default=Fraction(0))
                if (
                    alone > known
                    and allows(alone)
                    and allows(rate := most_rate_fed(certificate, count, latency))
                    and rate > known
                ):
                    rate = min(alone, rate)
                    leaves_room(
                        certificate,
                        f"the claims do not rule out a plan of {count} TPUs, a latency of {exact_ms(latency)} and "
                        f"{exact_ms(1 / rate)} per inference, which none of the points betters",
                    )
        return f"no {layout(certificate)} betters all {len(points)} points in TPUs, throughput or latency"


def _ends(certificate: Certificate, most_ns: int | None) -> set[int]:
    """Return the latencies from which on a claim says nothing any more."""
    found = {c.at_least for c in certificate.claims if c.cost == "latency" and c.at_least is not None}
    return {latency for latency in found if most_ns is None or latency <= most_ns}


def _floor(step: Sequence[Corner], latency_ns: int) -> int | None:
    """Return the smallest bottleneck of a staircase within a latency; None if there is none."""
    within = bisect_right(step, latency_ns, key=lambda corner: corner[1])
    return step[within - 1][0] if within else None
