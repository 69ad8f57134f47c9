"""Values as people write them: sizes, times, numbers, names; and what makes sense."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from numbers import Integral, Real

from segsolve.errors import UsageError

DEFAULT_DEVICE = "edgetpu-m2"
SHOWN_POINTS = 12
"""Of a Pareto front, unless asked for otherwise."""
MOST_TPUS = 1024
MOST_HOST_CORES = 1024
MOST_THREADS = 256
MOST_BATCH = 10**6
MOST_WEIGHT = 10_000
"""Of a model in a pool: loads are sums of weights times times, in whole ns."""
_MOST_MEMORY = 2**40
_UNITS = {
    **{"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9},
    **{"k": 2**10, "kib": 2**10, "m": 2**20, "mib": 2**20, "g": 2**30, "gib": 2**30, "tib": 2**40},
}
_TIMES = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "": 10**6}
_LONGEST_NS = 10**15


def parse_bytes(text: str | float) -> int:
    """Return a size such as ``6MiB``, ``7.5M`` or ``8000000`` in bytes.

    Raises:
        UsageError: the text is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(text), re.ASCII)
    if not match or match[2].lower() not in _UNITS:
        raise UsageError(f"{text!r} is not a size", "write bytes or a unit, e.g. 8000000, 7.5MiB, 512KiB")
    return round(Decimal(match[1]) * _UNITS[match[2].lower()])


def parse_counts(option: str, text: str) -> tuple[int, ...]:
    """Return the numbers that ``2..8``, ``2,4,8`` or ``2..4,8`` stand for, ascending.

    Raises:
        UsageError: the text stands for none, or for numbers out of range.
    """
    counts: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})\s*(?:\.\.\s*(\d{1,19})\s*)?", part, re.ASCII)
        if not match:
            raise UsageError(f"{option} is {text!r}", "write numbers or ranges, e.g. 4, 2..8 or 2,4,8")
        first, last = int(match[1]), int(match[2] or match[1])
        for number in (first, last):
            within(option, number, 1, MOST_TPUS)
        if first > last:
            raise UsageError(f"{option} is {text!r}", f"write the smaller number first: {last}..{first}")
        counts.update(range(first, last + 1))
    return tuple(sorted(counts))


def parse_names(option: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return comma-separated names, each once; ``all`` stands for the known ones.

    Raises:
        UsageError: the text has no names.
    """
    given = (name for part in text.split(",") if (name := part.strip()))
    names = tuple(dict.fromkeys(n for name in given for n in (known if name == "all" else (name,))))
    if not names:
        raise UsageError(f"{option} names nothing", f"known: {', '.join(known)}")
    return names


def parse_pairs(text: str) -> list[tuple[str, str]]:
    """Return the names and values of ``a=3,b=1``; names may have commas in them. Nothing where no value is given."""
    name, *pieces = text.split("=")
    found = []
    for number, piece in enumerate(pieces, 1):
        value, comma, following = piece.partition(",")
        if number == len(pieces):
            found.append((name.strip(), piece.strip()))
        elif comma:
            found.append((name.strip(), value.strip()))
            name = following
        else:
            name = f"{name}={piece}"
    return found


def parse_memory(text: str | float, *, least_bare: int = 1024) -> int:
    """Return the bytes that ``--tpu-memory`` asks for; less than `least_bare` of them must be written with their unit.

    Raises:
        UsageError: the text is not a size, or not one that makes sense.
    """
    memory = parse_bytes(text)
    if 0 < memory < least_bare and not str(text).strip()[-1].isalpha():
        number = str(text).strip()
        raise UsageError(f"--tpu-memory is {number}, without a unit", f"write {number}MiB, or {number}B for bytes")
    within("--tpu-memory", memory, 1, _MOST_MEMORY)
    return memory


def parse_time(option: str, given: str | float) -> int:
    """Return a time such as ``20ms``, ``0.5 s`` or ``20`` (ms) in ns.

    Raises:
        UsageError: the text is no time, or none that makes sense.
    """
    text = str(given)
    number = text.strip().rstrip("nums ").strip()
    unit = text.strip()[len(number) :].strip()
    try:
        time_ns = round(Decimal(number) * _TIMES[unit])
    except (InvalidOperation, KeyError, ValueError, OverflowError):
        raise UsageError(f"{option} is {text!r}, which is not a time", "write e.g. 20ms, 1.5s or 800us") from None
    within(f"{option} in ns", time_ns, 1, _LONGEST_NS)
    return time_ns


def within(option: str, value: float, least: float, most: float = 2**31 - 1) -> None:
    """Raise a UsageError if an option's value is outside of what makes sense, or of what the libraries take."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{option} is {value!r}", "give a number")
    if not value >= least:
        raise UsageError(f"{option} is {value}", f"give at least {least}")
    if value > most:
        raise UsageError(f"{option} is {value}", f"give at most {most}")


def whole(option: str, value: int, least: int, most: int = 2**31 - 1) -> None:
    """Raise a UsageError if an option's value is no whole number, or outside of what makes sense."""
    if not isinstance(value, Integral):
        raise UsageError(f"{option} is {value!r}", "give a whole number")
    within(option, value, least, most)
