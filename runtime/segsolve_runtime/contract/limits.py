"""How much is read at most, so that no file can make a command hang or fill the memory; README names the limits."""

from __future__ import annotations

import os
from dataclasses import dataclass

from segsolve_runtime.errors import SettingError

MIB = 2**20
_MOST_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Limit:
    """The most of something: `usual`, or what the environment's `variable` says, in units of `unit`."""

    variable: str
    usual: int
    unit: str

    @property
    def most(self) -> int:
        """How many there may be.

        Raises:
            SettingError: the variable is no whole number from 1 on.
        """
        given = os.environ.get(self.variable)
        if given is None:
            return self.usual
        if not (given.isascii() and given.isdigit() and len(given) <= _MOST_DIGITS and int(given)):
            raise SettingError(f"{self.variable} is {given[:40]!r}; give a whole number of {self.unit}, from 1 on")
        return int(given)

    @property
    def most_bytes(self) -> int:
        """How many bytes there may be, of a limit in MiB."""
        return self.most * MIB

    def said(self) -> str:
        """Return the limit as it stands in a sentence, with what raises it."""
        return f"{self.most} {self.unit} ({self.variable} raises that)"


DOCUMENT = Limit("SEGSOLVE_MAX_DOCUMENT_MIB", 64, "MiB")
"""Of a JSON or TOML document: a plan (one of 1,000 stages has 2 MiB), profile, graph, device or measurement."""
CERTIFICATE = Limit("SEGSOLVE_MAX_CERTIFICATE_MIB", 256, "MiB")
MODEL = Limit("SEGSOLVE_MAX_MODEL_MIB", 2047, "MiB")
"""Of a model; FlatBuffers' offsets of 32 bits allow no more."""
OPERATIONS = Limit("SEGSOLVE_MAX_OPERATIONS", 10_000, "operations")
"""Of a model, profile or graph: the tables of 10,000 take some 5 GiB, and grow with the square."""
PIXELS = Limit("SEGSOLVE_MAX_PIXELS", 89_478_485, "pixels")
"""Of an image file: Pillow's own limit."""
TENSOR = Limit("SEGSOLVE_MAX_TENSOR_MIB", 2047, "MiB")
"""Of one tensor that a model takes or makes, or that enters a segment or leaves one."""
