"""What was asked: whether plan.json and the certificate say the same, and how a verdict puts it into words."""

from __future__ import annotations

from collections.abc import Iterator

from segsolve.checker.document import Certificate
from segsolve.checker.failure import CertificateFault
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.contract.wording import shortened


def check_asked(plan: Plan, certificate: Certificate) -> None:
    """Check that plan.json records the question that the certificate answers.

    Raises:
        CertificateFault: it records another, or none.
    """
    asked = plan.solution.question
    if asked is None:
        raise CertificateFault("plan.json does not record what was asked, so that its certificate answers nothing")
    if unknown := sorted(set(asked.model_extra or ()) - {key for key, _ in certificate.question.constraints.values}):
        raise CertificateFault(f"plan.json asks for {unknown[0]!r}, which the check does not know")
    question, kept = certificate.question, certificate.question.constraints
    pairs: list[tuple[str, object, object]] = [
        ("objective", asked.objective, question.objective),
        ("layout", asked.layout, question.layout),
        ("cuts", asked.cuts, question.cuts),
        ("batch", asked.batch, question.batch if question.objective == "batch" else None),
        ("no_spill", asked.no_spill, certificate.problem.no_spill),
    ]
    pairs += [(key, _said(getattr(asked, key, None)), _said(value)) for key, value in kept.values]
    for name, said, ours in pairs:
        if said != ours:
            texts = [shortened(str(value)) for value in (said, ours)]
            raise CertificateFault(
                f"plan.json was asked something else than the certificate: {name}: {texts[0]} there, {texts[1]} here"
            )


def _said(value: object) -> object:
    """Return a constraint's value, None where it asks for nothing."""
    return None if value == [] else value


def constraints_in_words(certificate: Certificate) -> tuple[str, ...]:
    """Return what a plan had to keep beside its layout, a few words each, so that they follow "plans"."""
    return tuple(_words(certificate))


def _words(certificate: Certificate) -> Iterator[str]:
    if certificate.problem.no_spill:
        yield "whose weights all fit on chip"
    for constraint in certificate.question.constraints.all:
        yield from constraint.words
