"""Numbers and names as people read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MIB = 2**20
_MOST_SPANS = 3
_BARS = "▁▂▃▄▅▆▇█"


def ms(ns: float) -> str:
    """Nanoseconds as milliseconds, without the unit."""
    value = ns / 1e6
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def mib(nbytes: float) -> str:
    """Bytes as MiB, without the unit; nothing is a dash, so that it stands out from little."""
    return f"{nbytes / MIB:.2f}" if nbytes else "-"


def size(nbytes: float) -> str:
    """Bytes with the unit that suits them."""
    if nbytes < 1024:
        return f"{nbytes:.0f} B"
    return f"{nbytes / 1024:.1f} KiB" if nbytes < 0.1 * MIB else f"{nbytes / MIB:.2f} MiB"


def fps(value: float) -> str:
    """Inferences per second, without the unit."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def count(number: int, noun: str) -> str:
    """A number of things, in the singular where there is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def million(number: int) -> str:
    """Millions, without the word."""
    value = number / 1e6
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 0.1 else f"{value:.2g}"


def times(ratio: float | None) -> str:
    """A speed-up."""
    return or_dash(lambda value: f"{value:.2f}x", ratio)


def bar(share: float) -> str:
    """One character, as high as the share (0 to 1) says."""
    return _BARS[min(len(_BARS) - 1, int(share * len(_BARS)))]


def or_dash(show: Callable[[float], str], value: float | None) -> str:
    """A figure as a cell holds it; a dash where there is none."""
    return "-" if value is None else show(value)


def first_name(name: str) -> str:
    """Converters join the names of what they fused with semicolons; the first says which layer it is."""
    return name.split(";", maxsplit=1)[0]


def short(name: str, width: int = 40) -> str:
    """The first of an operation's names, its end where it is longer than so many characters."""
    first = first_name(name)
    return first if len(first) <= width else "..." + first[-width:]


def long_bar(share: float, width: int) -> str:
    """A horizontal bar of at most `width` characters, in eighths."""
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def spans(ranges: Sequence[Sequence[int]]) -> str:
    """Ranges of operations, first and last, as a cell holds them: ``0-5,9,11-12 +3``."""
    texts = [f"{first}-{last}" if first != last else str(first) for first, last in ranges]
    more = len(texts) - _MOST_SPANS
    return ",".join(texts[:_MOST_SPANS]) + (f" +{more}" if more > 0 else "")


def sentence(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def names(words: Sequence[str]) -> str:
    """Return words as a list in a sentence, each once."""
    once = list(dict.fromkeys(words))
    return once[0] if len(once) == 1 else f"{', '.join(once[:-1])} and {once[-1]}" if once else "nothing else"
