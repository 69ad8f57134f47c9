"""The fewest devices that keep a rate or a latency."""

from __future__ import annotations

from fractions import Fraction

from segsolve.checker.document import Certificate
from segsolve.checker.failure import CertificateFault
from segsolve.checker.objective import Objective, kept, kind, leaves_room, most_rate_of, whole
from segsolve.checker.plans import Priced


class Devices(Objective):
    """A number of devices."""

    is_time = False

    def value(self, found: Priced, certificate: Certificate) -> Fraction:
        """Return the devices."""
        return Fraction(found.tpus)

    def least(self, certificate: Certificate, work_ns: Fraction) -> Fraction:
        """Return how many are busy all the time."""
        busy = work_ns * (certificate.question.constraints.least_fps or 0) / 10**9
        return max(Fraction(1), Fraction(-(-busy // 1)))

    def prove(self, certificate: Certificate) -> str:
        """Return it, as `Objective` says."""
        value = whole(certificate)
        if value < 1:
            raise CertificateFault("a plan of no TPUs is none")
        fewer = min(value - 1, certificate.problem.tpus)
        rate = most_rate_of(certificate, fewer, certificate.question.constraints.most_latency_ns)
        if rate and certificate.question.constraints.allow_rate(rate):
            leaves_room(certificate, f"the claims do not rule out a plan of {value - 1} TPUs")
        if value == 1:
            return "no plan needs less than one TPU"
        return f"there is no {kind(certificate)} of fewer than {value} TPUs{kept(certificate)}"
