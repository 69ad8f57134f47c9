"""What an objective means to the checker; each is a module of `objectives`, read from a certificate alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import ClassVar

from segsolve.checker.asked import constraints_in_words
from segsolve.checker.bounds import bottlenecks, by_stages, corners, most_rate
from segsolve.checker.costs import host_ns, link_ns
from segsolve.checker.document import Certificate
from segsolve.checker.failure import CertificateFault
from segsolve.checker.least import least_value
from segsolve.checker.plans import Priced
from segsolve.checker.shared import most_rate_sharing


class Objective(ABC):
    """What a plan is the best at; smaller values are better."""

    is_time: ClassVar[bool] = True
    """Whether the value is a time in ns."""
    has_points: ClassVar[bool] = False
    """Whether it asks for a front, whose points stand beside the value."""

    @abstractmethod
    def value(self, found: Priced, certificate: Certificate) -> Fraction:
        """Return what a plan is worth, in the objective's unit; 0 for a front."""

    @abstractmethod
    def least(self, certificate: Certificate, work_ns: Fraction) -> Fraction:
        """Return a value that no plan is below, given what devices do at least for an inference; 0 for a front."""

    @abstractmethod
    def prove(self, certificate: Certificate) -> str:
        """Return in a sentence what no plan betters, given that every claim holds.

        Raises:
            CertificateFault: the claims do not imply it.
        """


def leaves_room(certificate: Certificate, otherwise: str) -> None:
    """Raise what the claims leave room for, unless the work that no plan avoids leaves none."""
    if not 0 < certificate.proven <= least_value(certificate):
        raise CertificateFault(otherwise)


def most_rate_of(certificate: Certificate, tpus: int, latency_ns: int | None) -> Fraction:
    """Return a bound on the rate of so many devices within a latency, link and host considered."""
    problem = certificate.problem
    rate = rates(certificate, latency_ns)[tpus]
    if problem.link:
        moved = corners(certificate.claims, "bytes", tpus=tpus, latency_ns=latency_ns)
        loads = [[(bottleneck, link_ns(problem, nbytes)) for bottleneck, nbytes in step] for step in moved]
        rate = min(rate, most_rate_sharing(loads, single=certificate.question.layout == "pipeline"))
    return min(rate, most_rate_fed(certificate, tpus, latency_ns)) if problem.host else rate


def most_rate_fed(certificate: Certificate, tpus: int, latency_ns: int | None) -> Fraction:
    """Return a bound on the rate that the host can feed on so many devices within a latency."""
    steps = by_stages(certificate.claims, tpus=tpus, latency_ns=latency_ns)
    loads = [[(bottleneck, host_ns(certificate.problem, stages)) for bottleneck, stages in step] for step in steps]
    return most_rate_sharing(loads, single=certificate.question.layout == "pipeline")


def rates(certificate: Certificate, latency_ns: int | None) -> list[Fraction]:
    """Return bounds on the rates of 0, 1, ... devices within a latency, whatever is shared."""
    floors = bottlenecks(certificate.claims, tpus=certificate.problem.tpus, latency_ns=latency_ns)
    return most_rate(floors, single=certificate.question.layout == "pipeline")


def whole(certificate: Certificate) -> int:
    """Return what is to be proven, which must be a whole number."""
    value = certificate.proven
    if value.denominator != 1:
        raise CertificateFault(f"a {certificate.question.objective} of {value} is no whole number")
    return int(value)


def layout(certificate: Certificate) -> str:
    """Return which layouts were allowed, in words."""
    tpus, what = certificate.problem.tpus, kind(certificate)
    noun = "TPU" if tpus == 1 else "TPUs"
    size = f"of up to {tpus} {noun}" if certificate.question.layout == "pipeline" else f"of {tpus} {noun}"
    return f"{what} {size}{kept(certificate)}"


def kind(certificate: Certificate) -> str:
    """Return what a plan was to be, in words."""
    if certificate.question.layout == "any":
        return "layout"
    return "pipeline" if certificate.replicate else "pipeline with one TPU per stage"


def kept(certificate: Certificate) -> str:
    """Return whether anything else was asked for, in words."""
    return " that keeps what was asked for" if constraints_in_words(certificate) else ""
