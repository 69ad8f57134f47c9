"""Why a certificate does not prove its plan."""

from __future__ import annotations


class CertificateFault(Exception):
    """A step of the check that failed; the message is one sentence."""
