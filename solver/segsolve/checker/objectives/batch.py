"""The least time of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from segsolve.checker.bounds import Corner, bottlenecks, corners, most_done
from segsolve.checker.document import Certificate
from segsolve.checker.objective import Objective, layout, leaves_room, most_rate_of, whole
from segsolve.checker.plans import Priced
from segsolve.checker.schedule import makespan_ns
from segsolve_runtime.contract.wording import exact_ms


class Batch(Objective):
    """The ns until the last of a batch's inferences is done."""

    def value(self, found: Priced, certificate: Certificate) -> Fraction:
        """Return the ns."""
        return Fraction(makespan_ns(found.pipelines, certificate.question.batch))

    def least(self, certificate: Certificate, work_ns: Fraction) -> Fraction:
        """Return the work of one inference, or that of all on all devices."""
        return max(work_ns, Fraction(-(-work_ns * certificate.question.batch // certificate.problem.tpus)))

    def prove(self, certificate: Certificate) -> str:
        """Return it, as `Objective` says."""
        value, question = whole(certificate), certificate.question
        tpus, limit = certificate.problem.tpus, question.constraints.most_latency_ns
        steps = corners(certificate.claims, "latency", tpus=tpus, latency_ns=limit)

        def done(count: int, corner: Corner) -> int:
            replicas = range(1, count + 1 if certificate.replicate else 2)
            by_stage = max(_ended(corner, value - 1, r, question.batch) for r in replicas)
            return min(by_stage, _turned(corner, value - 1, count, question.batch))

        most = most_done(steps, done, single=question.layout == "pipeline")
        if certificate.problem.link or certificate.problem.host:
            most = min(most, _served(certificate, steps, value - 1))
        if value > 0 and most >= question.batch:
            leaves_room(certificate, f"the claims do not rule out a batch of {question.batch} in {exact_ms(value - 1)}")
        return f"no {layout(certificate)} does a batch of {question.batch} in less than {exact_ms(value)}"


def _served(certificate: Certificate, steps: Sequence[Sequence[Corner]], time_ns: int) -> int:
    """Return a bound on the inferences that end within a time in all pipelines, by the rate that no plan exceeds.

    A pipeline's first results, one from each of its slowest stage's devices at most, come after a latency at least.
    From then on it makes no more than its rate; where that is of r replicas that share a time T, up to r / T inferences
    per ns where the rate says 1 / ceil(T / r), which is less than 1 / (ceil(T / r) - 1 + 1 / r).
    """
    tpus, most = certificate.problem.tpus, certificate.question.batch
    latency_ns = min((cost for corners in steps for _, cost in corners), default=None)
    least_ns = bottlenecks(certificate.claims, tpus=tpus)[tpus]
    if latency_ns is None or time_ns < latency_ns:
        return 0
    if not least_ns:
        return most
    rate = most_rate_of(certificate, tpus, certificate.question.constraints.most_latency_ns)
    first = tpus if certificate.replicate or certificate.question.layout == "any" else 1
    if certificate.replicate:
        rate *= least_ns / (least_ns - 1 + Fraction(1, tpus))
    return min(most, int(first + (time_ns - latency_ns) * rate))


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
