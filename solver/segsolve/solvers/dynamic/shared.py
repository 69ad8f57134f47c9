"""The best layout where all pipelines share one thing, a link or the host: rates are bounded by what there is of it.

With loads fixed, the rates are a linear program with one constraint beside their bounds, so in the best layout all
pipelines but at most one run at their full rate. Layouts of full-rate pipelines are built up device by device, and
only those kept that no other betters in both rate and load; one throttled pipeline comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

Choice = tuple[int, int]  # devices, bottleneck in ns


@dataclass(frozen=True, slots=True)
class _Label:
    """Pipelines together: their rate, and the part of what is shared that they need; in parts of a `whole`."""

    rate: int
    load: int
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class _Option:
    devices: int
    bottleneck_ns: int
    takes_ns: int


def best_sharing(
    fronts: Mapping[int, Iterable[tuple[int, int]]], takes: Callable[[int], int], tpus: int
) -> tuple[Fraction, tuple[Choice, ...]]:
    """Return the largest rate in inferences per ns, and the pipelines that reach it.

    `fronts[k]` are the undominated (bottleneck in ns, cost) of pipelines of at most k devices, `takes` says for how
    many ns an inference of such a cost occupies what is shared.
    """
    options = _needed(_Option(k, max(1, ns), takes(cost)) for k, front in fronts.items() for ns, cost in front)
    # So many parts that all rates and loads, and what is left of a throttled one, are whole numbers of them: to compare
    # these takes a hundredth of the time of fractions.
    whole = lcm(*(o.bottleneck_ns for o in options)) * lcm(*(o.takes_ns for o in options if o.takes_ns))
    steps = [(o, rate := whole // o.bottleneck_ns, rate * o.takes_ns) for o in options]
    labels: list[list[_Label]] = [[_Label(0, 0, ())]]
    best = labels[0][0]
    for devices in range(1, tpus + 1):
        grown: list[_Label] = []
        for option, rate, load in steps:
            for label in labels[devices - option.devices] if option.devices <= devices else ():
                if label.load + load <= whole:
                    grown.append(_Label(label.rate + rate, label.load + load, _with(label, option)))
                elif label.rate + rate > best.rate:  # throttled, it may still be the fastest
                    over = _Label(label.rate + rate, label.load + load, _with(label, option))
                    best = max(best, _filled(over, options, whole), key=lambda found: found.rate)
        best = max([best, *grown], key=lambda found: found.rate)
        labels.append(_undominated([*grown, *labels[-1]]))
    return Fraction(best.rate, whole), best.choices


def _with(label: _Label, option: _Option) -> tuple[Choice, ...]:
    return tuple(sorted((*label.choices, (option.devices, option.bottleneck_ns)), reverse=True))


def _needed(options: Iterable[_Option]) -> list[_Option]:
    """Leave out options to which another one of no more devices is as good both ways."""
    kept: list[_Option] = []
    for option in sorted(options, key=lambda o: (o.devices, o.bottleneck_ns, o.takes_ns)):
        if not any(o.bottleneck_ns <= option.bottleneck_ns and o.takes_ns <= option.takes_ns for o in kept):
            kept.append(option)
    return kept


def _filled(label: _Label, options: list[_Option], whole: int) -> _Label:
    """Return a layout that needs too much with its last pipeline throttled to what is left."""
    last = min(
        (o for o in options if (o.devices, o.bottleneck_ns) in label.choices), key=lambda o: (-o.takes_ns, o.devices)
    )
    over = label.load - whole
    if over >= whole // last.bottleneck_ns * last.takes_ns:
        return _Label(0, label.load, ())
    return _Label(label.rate - over // last.takes_ns, whole, label.choices)


def _undominated(labels: Iterable[_Label]) -> list[_Label]:
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda found: (-found.rate, found.load, found.choices)):
        if not kept or label.load < kept[-1].load:
            kept.append(label)
    return kept
