"""The most inferences per second."""

from __future__ import annotations

from fractions import Fraction

from segsolve.checker.costs import host_ns
from segsolve.checker.document import Certificate
from segsolve.checker.objective import Objective, layout, leaves_room, most_rate_of, ns
from segsolve.checker.plans import Priced


class Throughput(Objective):
    """The least time per inference in ns."""

    def value(self, found: Priced, certificate: Certificate) -> Fraction:
        """Return the ns per inference."""
        return 1 / found.rate

    def least(self, certificate: Certificate, work_ns: Fraction) -> Fraction:
        """Return what is left for each device if all share the work, or what the host takes for one stage."""
        problem = certificate.problem
        return max(work_ns / problem.tpus, Fraction(host_ns(problem, 1)))

    def prove(self, certificate: Certificate) -> str:
        """Return it, as `Objective` says."""
        value = Fraction(*certificate.value)
        rate = most_rate_of(certificate, certificate.problem.tpus, certificate.question.constraints.most_latency_ns)
        if rate * value > 1:
            leaves_room(
                certificate,
                f"the claims leave room for a layout of {ns(1 / rate)} ns per inference, the plan has {ns(value)}",
            )
        return f"no {layout(certificate)} takes less than {ns(value)} ns per inference"
