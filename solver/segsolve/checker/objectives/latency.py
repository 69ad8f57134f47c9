"""The least time of one inference."""

from __future__ import annotations

from fractions import Fraction

from segsolve.checker.document import Certificate
from segsolve.checker.objective import Objective, layout, leaves_room, most_rate_of, whole
from segsolve.checker.plans import Priced
from segsolve_runtime.contract.wording import exact_ms


class Latency(Objective):
    """The ns of one inference through the slowest pipeline."""

    def value(self, found: Priced, certificate: Certificate) -> Fraction:
        """Return the ns."""
        return Fraction(found.latency_ns)

    def least(self, certificate: Certificate, work_ns: Fraction) -> Fraction:
        """Return the work."""
        return work_ns

    def prove(self, certificate: Certificate) -> str:
        """Return it, as `Objective` says."""
        value = whole(certificate)
        rate = Fraction(0) if value == 0 else most_rate_of(certificate, certificate.problem.tpus, value - 1)
        if rate and certificate.question.constraints.allow_rate(rate):
            leaves_room(certificate, f"the claims do not rule out a plan with a latency of {exact_ms(value - 1)}")
        return f"no {layout(certificate)} has a latency of less than {exact_ms(value)}"
