"""The most inferences per second."""

from __future__ import annotations

from fractions import Fraction

from segsolve.checker.costs import host_ns
from segsolve.checker.document import Certificate
from segsolve.checker.objective import Objective, layout, leaves_room, most_rate_of
from segsolve.checker.plans import Priced
from segsolve_runtime.contract.wording import exact_ms


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
            better = f"a layout of {exact_ms(1 / rate)} per inference"
            leaves_room(certificate, f"the claims leave room for {better}, the plan has {exact_ms(value)}")
        return f"no {layout(certificate)} takes less than {exact_ms(value)} per inference"
