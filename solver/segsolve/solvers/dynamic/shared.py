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
from operator import itemgetter

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


_Grown = tuple[int, int, _Label, _Option | None]  # minus the rate, the load, and whose that is with which pipeline more


def best_sharing(
    fronts: Mapping[int, Iterable[tuple[int, int]]],
    takes: Callable[[int], int],
    tpus: int,
    *,
    least: Fraction = Fraction(0),
) -> tuple[Fraction, tuple[Choice, ...]]:
    """Return the largest rate in inferences per ns, and the pipelines that reach it; 0 and none if it is below `least`.

    `fronts[k]` are the undominated (bottleneck in ns, cost) of pipelines of at most k devices, `takes` says for how
    many ns an inference of such a cost occupies what is shared.
    """
    options = _needed(_Option(k, max(1, ns), takes(cost)) for k, front in fronts.items() for ns, cost in front)
    # So many parts that all rates and loads, and what is left of a throttled one, are whole numbers of them: to compare
    # these takes a hundredth of the time of fractions.
    whole = lcm(*(o.bottleneck_ns for o in options)) * lcm(*(o.takes_ns for o in options if o.takes_ns))
    steps = [(o, rate := whole // o.bottleneck_ns, rate * o.takes_ns) for o in options]
    alone = _alone(steps, tpus)
    start = _Label(0, 0, ())
    labels, best = [[start]], start
    for devices in range(1, tpus + 1):
        enough = max(best.rate, -(-whole * least.numerator // least.denominator)) - alone[tpus - devices]
        grown: list[_Grown] = []
        for option, rate, load in steps:
            for label in labels[devices - option.devices] if option.devices <= devices else ():
                if label.rate + rate < enough:
                    break  # with all that is left it does too little, and so do those after it
                if label.load + load <= whole:
                    grown.append((-label.rate - rate, label.load + load, label, option))
                elif label.rate + rate > best.rate:  # throttled, it may still be the fastest
                    over = _Label(label.rate + rate, label.load + load, _with(label, option))
                    best = max(best, _filled(over, options, whole), key=lambda found: found.rate)
        labels.append(_undominated([*grown, *((-old.rate, old.load, old, None) for old in labels[-1])]))
        best = max(best, labels[-1][0], key=lambda found: found.rate)
    return (Fraction(best.rate, whole), best.choices) if best.rate >= least * whole else (Fraction(0), ())


def _alone(steps: Iterable[tuple[_Option, int, int]], tpus: int) -> list[int]:
    """Return the largest rate on 0, 1, ... devices if nothing was shared."""
    best = [0]
    for devices in range(1, tpus + 1):
        fitting = (rate + best[devices - o.devices] for o, rate, _ in steps if o.devices <= devices)
        best.append(max([best[-1], *fitting]))
    return best


def _with(label: _Label, option: _Option | None) -> tuple[Choice, ...]:
    if option is None:
        return label.choices
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


def _undominated(found: list[_Grown]) -> list[_Label]:
    """Return labels that no other betters, by descending rate; of equal ones that of the first choices."""
    kept: list[_Label] = []
    for negative, load, label, option in sorted(found, key=itemgetter(0, 1)):
        if not kept or load < kept[-1].load:
            kept.append(_Label(-negative, load, _with(label, option)))
        elif load == kept[-1].load and -negative == kept[-1].rate:
            kept[-1] = min(kept[-1], _Label(-negative, load, _with(label, option)), key=lambda one: one.choices)
    return kept
