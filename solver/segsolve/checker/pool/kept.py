"""Whether a pool's plan keeps what was asked of it beside its value, by what it costs."""

from __future__ import annotations

from fractions import Fraction

from segsolve.checker.failure import CertificateFault
from segsolve.checker.pool.document import PoolCertificate
from segsolve.checker.pool.prices import PoolCost


def check_kept(certificate: PoolCertificate, cost: PoolCost) -> None:
    """Check latencies, and the rates that the least latency is asked for at.

    Raises:
        CertificateFault: one is not kept.
    """
    for model, latency in zip(certificate.models, cost.latencies, strict=True):
        most = model.constraints.most_latency_ns
        if most is not None and latency > most:
            raise CertificateFault(f"the worst latency of {model.name} is {latency} ns, {most} were allowed")
    wanted = Fraction(*certificate.wanted) if certificate.wanted else Fraction(0)
    if certificate.objective == "latency" and cost.period * wanted > 10**9:
        raise CertificateFault("the plan does not make the rates that were wanted")


def kept_words(certificate: PoolCertificate) -> str:
    """Return what is asked of plans beside their value, to follow "plans"; nothing where nothing is."""
    found = [f"of {model.name} {words}" for model in certificate.models for words in model.words]
    if certificate.objective == "latency" and certificate.wanted is not None:
        per_s = float(Fraction(*certificate.wanted))
        found.insert(0, "of " + ", ".join(f"{m.weight * per_s:g} {m.name} per second" for m in certificate.models))
    return ", ".join(found)
