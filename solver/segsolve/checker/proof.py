"""The last step: the claims together leave no room for a better plan, objective by objective."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

from segsolve.checker.asked import constraints_in_words
from segsolve.checker.bounds import Corner, bottlenecks, corners, most_done, most_rate
from segsolve.checker.costs import link_ns
from segsolve.checker.document import Certificate
from segsolve.checker.failure import CertificateFault
from segsolve.checker.least import is_least
from segsolve.checker.link import most_rate_on_link


def prove(certificate: Certificate) -> str:
    """Return in a sentence what no plan betters, given that every claim holds.

    Raises:
        CertificateFault: the claims do not imply it.
    """
    if certificate.question.layout == "any" and not certificate.replicate:
        raise CertificateFault("the claims are about stages of one device each, other layouts were allowed")
    if certificate.problem.cpus:
        raise CertificateFault("the claims say nothing of stages on CPU cores, which the problem has")
    return _PROOFS[certificate.question.objective](certificate)


def _throughput(certificate: Certificate) -> str:
    value = Fraction(*certificate.value)
    rate = _most_rate(certificate, certificate.problem.tpus)
    if rate * value > 1:
        _leaves_room(
            certificate,
            f"the claims leave room for a layout of {_ns(1 / rate)} ns per inference, the plan has {_ns(value)}",
        )
    return f"no {_layout(certificate)} takes less than {_ns(value)} ns per inference"


def _latency(certificate: Certificate) -> str:
    value = _whole(certificate)
    rate = Fraction(0) if value == 0 else _rates(certificate, value - 1)[-1]
    if rate and _is_fast_enough(certificate, rate):
        _leaves_room(certificate, f"the claims do not rule out a plan with a latency of {value - 1} ns")
    return f"no {_layout(certificate)} has a latency of less than {value} ns"


def _devices(certificate: Certificate) -> str:
    value = _whole(certificate)
    if value < 1:
        raise CertificateFault("a plan of no TPUs is none")
    fewer = min(value - 1, certificate.problem.tpus)
    rate = _most_rate(certificate, fewer)
    if rate and _is_fast_enough(certificate, rate):
        _leaves_room(certificate, f"the claims do not rule out a plan of {value - 1} TPUs")
    if value == 1:
        return "no plan needs less than one TPU"
    return f"there is no {_kind(certificate)} of fewer than {value} TPUs{_kept(certificate)}"


def _batch(certificate: Certificate) -> str:
    value, question = _whole(certificate), certificate.question
    tpus, limit = certificate.problem.tpus, question.constraints.most_latency_ns
    steps = corners(certificate.claims, "latency", tpus=tpus, latency_ns=limit)

    def done(count: int, corner: Corner) -> int:
        replicas = range(1, count + 1 if certificate.replicate else 2)
        by_stage = max(_ended(corner, value - 1, r, question.batch) for r in replicas)
        return min(by_stage, _turned(corner, value - 1, count, question.batch))

    most = most_done(steps, done, single=question.layout == "pipeline")
    if value > 0 and most >= question.batch:
        _leaves_room(certificate, f"the claims do not rule out a batch of {question.batch} in {value - 1} ns")
    return f"no {_layout(certificate)} does a batch of {question.batch} in less than {value} ns"


def _ended(corner: Corner, time_ns: int, replicas: int, most: int) -> int:
    """Return a bound on the inferences that end within a time in a pipeline whose slowest stage has so many replicas.

    With a share of at least B that stage takes r (B - 1) + 1 ns at least. Each of its r devices has its first result
    at the end of the pipeline after a latency at least, and each further one after one more time of the stage.
    """
    bottleneck, latency_ns = corner
    if time_ns < latency_ns:
        return 0
    if bottleneck < 1:
        return most
    return min(most, replicas * (1 + (time_ns - latency_ns) // (replicas * (bottleneck - 1) + 1)))


def _turned(corner: Corner, time_ns: int, count: int, most: int) -> int:
    """Return a bound on the inferences that end within a time in a pipeline of so many devices, by its latency alone.

    Inference m waits at a stage of r devices for inference m - r there. Going back so a times at every stage leads past
    a (r1 + r2 + ...) <= a * count inferences, each time through all stages' times: inference m ends after
    (1 + (m - 1) // count) latencies at least.
    """
    _, latency_ns = corner
    return min(most, count * (time_ns // latency_ns)) if latency_ns else most


def _pareto(certificate: Certificate) -> str:
    question, tpus = certificate.question, certificate.problem.tpus
    limit = question.constraints.most_latency_ns
    steps = corners(certificate.claims, "latency", tpus=tpus, latency_ns=limit)
    points = [(count, latency, Fraction(*rate)) for count, latency, rate in certificate.points]
    for latency in sorted({latency for step in steps for _, latency in step}):
        floors = [_floor(step, latency) for step in steps]
        for count, rate in enumerate(most_rate(floors, single=question.layout == "pipeline")):
            known = max((r for n, ns, r in points if n <= count and ns <= latency), default=Fraction(0))
            if rate > known and _is_fast_enough(certificate, rate):
                _leaves_room(
                    certificate,
                    f"the claims do not rule out a plan of {count} TPUs, a latency of {latency} ns and "
                    f"{_ns(1 / rate)} ns per inference, which none of the points betters",
                )
    return f"no {_layout(certificate)} betters all {len(points)} points in TPUs, throughput or latency"


_PROOFS = {
    "throughput": _throughput,
    "latency": _latency,
    "batch": _batch,
    "devices": _devices,
    "pareto": _pareto,
}


def _leaves_room(certificate: Certificate, otherwise: str) -> None:
    """Raise what the claims leave room for, unless the work that no plan avoids leaves none."""
    if not is_least(certificate):
        raise CertificateFault(otherwise)


def _most_rate(certificate: Certificate, tpus: int) -> Fraction:
    """Return a bound on the rate of so many devices, the shared link considered."""
    latency_ns = certificate.question.constraints.most_latency_ns
    rate = _rates(certificate, latency_ns)[tpus]
    if certificate.problem.link is None:
        return rate
    steps = corners(certificate.claims, "bytes", tpus=tpus, latency_ns=latency_ns)
    loads = [[(bottleneck, link_ns(certificate.problem, moved)) for bottleneck, moved in step] for step in steps]
    return min(rate, most_rate_on_link(loads, single=certificate.question.layout == "pipeline"))


def _rates(certificate: Certificate, latency_ns: int | None) -> list[Fraction]:
    floors = bottlenecks(certificate.claims, tpus=certificate.problem.tpus, latency_ns=latency_ns)
    return most_rate(floors, single=certificate.question.layout == "pipeline")


def _floor(step: Sequence[Corner], latency_ns: int) -> int | None:
    """Return the smallest bottleneck of a staircase within a latency; None if there is none."""
    within = bisect_right(step, latency_ns, key=lambda corner: corner[1])
    return step[within - 1][0] if within else None


def _is_fast_enough(certificate: Certificate, rate: Fraction) -> bool:
    return certificate.question.constraints.allow_rate(rate)


def _whole(certificate: Certificate) -> int:
    value = Fraction(*certificate.value)
    if value.denominator != 1:
        raise CertificateFault(f"a {certificate.question.objective} of {value} is no whole number")
    return int(value)


def _layout(certificate: Certificate) -> str:
    tpus, what = certificate.problem.tpus, _kind(certificate)
    size = f"of up to {tpus} TPUs" if certificate.question.layout == "pipeline" else f"of {tpus} TPUs"
    return f"{what} {size}{_kept(certificate)}"


def _kind(certificate: Certificate) -> str:
    if certificate.question.layout == "any":
        return "layout"
    return "pipeline" if certificate.replicate else "pipeline with one TPU per stage"


def _kept(certificate: Certificate) -> str:
    return " that keeps what was asked for" if constraints_in_words(certificate) else ""


def _ns(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):.3f}"
