"""The last step: the claims together leave no room for a better plan."""

from __future__ import annotations

from segsolve.checker.document import Certificate
from segsolve.checker.failure import CertificateFault
from segsolve.checker.objectives import objective


def prove(certificate: Certificate) -> str:
    """Return in a sentence what no plan betters, given that every claim holds.

    Raises:
        CertificateFault: the claims do not imply it.
    """
    if certificate.question.layout == "any" and not certificate.replicate:
        raise CertificateFault("the claims are about stages of one device each, other layouts were allowed")
    if certificate.problem.cpus:
        raise CertificateFault("the claims say nothing of stages on CPU cores, which the problem has")
    return objective(certificate.question.objective).prove(certificate)
