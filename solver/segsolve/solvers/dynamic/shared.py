"""The best layout where all pipelines share one thing, a link or the host: rates are bounded by what there is of it.

With loads fixed, the rates are a linear program with one constraint beside their bounds, so in the best layout all
pipelines but at most one run at their full rate. Layouts of full-rate pipelines are built up device by device, and
only those kept that no other betters in both rate and load; one throttled pipeline comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

Choice = tuple[int, int]  # devices, bottleneck in ns


@dataclass(frozen=True, slots=True)
class _Label:
    rate: Fraction
    load: Fraction
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
    options = [_Option(k, max(1, ns), takes(cost)) for k, front in fronts.items() for ns, cost in front]
    labels: list[list[_Label]] = [[_Label(Fraction(0), Fraction(0), ())]]
    best = labels[0][0]
    for devices in range(1, tpus + 1):
        grown = [
            _Label(
                label.rate + Fraction(1, option.bottleneck_ns),
                label.load + Fraction(option.takes_ns, option.bottleneck_ns),
                tuple(sorted((*label.choices, (option.devices, option.bottleneck_ns)), reverse=True)),
            )
            for option in options
            if option.devices <= devices
            for label in labels[devices - option.devices]
        ]
        for label in grown:
            best = max(best, _filled(label, options), key=lambda found: found.rate)
        labels.append(_undominated(label for label in (*grown, *labels[-1]) if label.load <= 1))
    return best.rate, best.choices


def _filled(label: _Label, options: list[_Option]) -> _Label:
    """Return a layout with its last pipeline throttled to what is left of it, if that is too little."""
    if label.load <= 1:
        return label
    last = min(
        (o for o in options if (o.devices, o.bottleneck_ns) in label.choices), key=lambda o: (-o.takes_ns, o.devices)
    )
    over = label.load - 1
    share = Fraction(last.takes_ns, last.bottleneck_ns)
    if over >= share:
        return _Label(Fraction(0), label.load, ())
    return _Label(label.rate - over / last.takes_ns, Fraction(1), label.choices)


def _undominated(labels: Iterable[_Label]) -> list[_Label]:
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda found: (-found.rate, found.load, found.choices)):
        if not kept or label.load < kept[-1].load:
            kept.append(label)
    return kept
