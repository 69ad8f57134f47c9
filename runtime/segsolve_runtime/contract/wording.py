"""How faults of documents, long texts and many numbers are put into words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

    from pydantic import ValidationError

NO_TEXT = "it holds half of a surrogate pair, which is no text"
_MOST = 100


def shortened(name: str) -> str:
    """Return a name as a sentence can hold it: 100 characters at most."""
    return name if len(name) <= _MOST else f"{name[: _MOST - 3]}..."


def first_fault(error: ValidationError, whole: str) -> str:
    """Return in a line where the first fault of a document is, and what it is; `whole` names the document."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(shortened(str(part)) for part in first["loc"]) or whole
    text = f"{where}: {first['msg'].removeprefix('Value error, ')}"
    return " ".join(text.encode(errors="replace").decode().split())


def exact_ms(ns: int | Fraction) -> str:
    """Return a time of so many ns in ms, to the ns; a fraction's to a thousandth of one."""
    if ns.denominator == 1:
        return f"{ns.numerator // 10**6}.{ns.numerator % 10**6:06} ms"
    return f"{float(ns) / 1e6:.9f} ms"


def percent(fraction: float) -> str:
    """Return a share; zero exactly is said as such, what rounds to it is not."""
    if fraction == 0:
        return "0 %"
    if fraction >= 1:
        return f"{100 * fraction:,.0f} %"
    return f"{100 * fraction:.1f} %" if fraction >= 0.0005 else "<0.1 %"


def runs(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return the maximal runs of consecutive numbers among ascending ones, as (first, last), both inclusive."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def hanging(head: str, text: str, width: int | None) -> str:
    """Return a text after its head, in lines of `width` characters that end between words; below the head is room."""
    if width is None or len(head) + len(text) <= width:
        return head + text
    from textwrap import wrap

    indent = " " * len(head) if len(head) < width // 2 else ""
    return "\n".join(
        wrap(text, width, initial_indent=head, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    )
