"""Why a certificate does not prove its plan."""

from __future__ import annotations


class CertificateFault(Exception):
    """A step of the check that failed; the message is one sentence."""


def need(holds: bool, otherwise: str) -> None:
    """Raise a CertificateFault with a sentence unless something holds."""
    if not holds:
        raise CertificateFault(otherwise)


def require(holds: bool, otherwise: str) -> None:
    """Raise a ValueError unless something holds of a document that is being read, for pydantic to say where."""
    if not holds:
        raise ValueError(otherwise)
