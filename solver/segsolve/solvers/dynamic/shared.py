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
from typing import Any

Choice = tuple[int, int]  # devices, bottleneck in ns
_MARGIN = 1e-9  # for what floats lose
_BEAM = 12
_Number = Any  # whole parts, or floats to be quick


@dataclass(frozen=True, slots=True)
class _Label:
    """Pipelines together: their rate, and the part of what is shared that they need; in parts of a `whole`."""

    rate: _Number
    load: _Number
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class _Option:
    devices: int
    bottleneck_ns: int
    takes_ns: int


_Grown = tuple[
    _Number, _Number, _Label, _Option | None
]  # minus the rate, the load, and whose that is with which pipeline more


def best_sharing(
    fronts: Mapping[int, Iterable[tuple[int, int]]], takes: Callable[[int], int], tpus: int
) -> tuple[Fraction, tuple[Choice, ...]]:
    """Return the largest rate in inferences per ns, and the pipelines that reach it.

    `fronts[k]` are the undominated (bottleneck in ns, cost) of pipelines of at most k devices, `takes` says for how
    many ns an inference of such a cost occupies what is shared.
    """
    options = _options(fronts, takes)
    free_ns = _price(options, tpus)
    about = _best(
        [(o, 1 / o.bottleneck_ns, o.takes_ns / o.bottleneck_ns) for o in options], tpus, 1.0, free_ns, beam=_BEAM
    )
    floor = Fraction(about.rate * (1 - _MARGIN))
    options = _promising(options, tpus, free_ns, float(floor) * (1 - _MARGIN))
    # So many parts that all rates and loads, and what is left of a throttled one, are whole numbers of them: to compare
    # these takes a hundredth of the time of fractions.
    whole = lcm(*(o.bottleneck_ns for o in options)) * lcm(*(o.takes_ns for o in options if o.takes_ns))
    steps = [(o, rate := whole // o.bottleneck_ns, rate * o.takes_ns) for o in options]
    best = _best(steps, tpus, whole, free_ns, floor=int(floor * whole))
    return Fraction(best.rate, whole), best.choices


def promising(
    fronts: Mapping[int, Iterable[tuple[int, int]]], takes: Callable[[int], int], tpus: int, least: Fraction
) -> list[tuple[int, tuple[int, int]]]:
    """Return the devices and the (bottleneck, cost) of pipelines that layouts of a rate of `least` or more may have."""
    options = _options(fronts, takes)
    floor = float(least) * (1 - _MARGIN)
    kept = {(o.devices, o.bottleneck_ns) for o in _promising(options, tpus, _price(options, tpus), floor)}
    return [(k, (ns, cost)) for k, front in fronts.items() for ns, cost in front if (k, max(1, ns)) in kept]


def _best(
    steps: list[tuple[_Option, _Number, _Number]],
    tpus: int,
    whole: _Number,
    free_ns: int,
    *,
    floor: _Number | int = 0,
    beam: int | None = None,
) -> _Label:
    """Return the pipelines of the largest rate, which is `floor` at least, or nothing.

    `steps` are options with their rate and load, of which there is a `whole`. With a `beam` only so many labels are
    kept for each number of devices, so that there may be better ones.
    """
    # With a price on what is shared, 1 for `free_ns`, other devices gain no more than these, times `free_ns`.
    gains = _knapsack(((o.devices, rate * free_ns - load) for o, rate, load in steps), tpus)
    rates = _knapsack(((o.devices, rate) for o, rate, _ in steps), tpus)
    best: _Label = _Label(whole - whole, whole - whole, ())
    labels: list[list[_Label]] = [[best]]
    for devices in range(1, tpus + 1):
        least = max(best.rate, floor)
        enough, priced = least - rates[tpus - devices], least * free_ns - whole - gains[tpus - devices]
        grown: list[_Grown] = []
        for option, rate, load in steps:
            for label in labels[devices - option.devices] if option.devices <= devices else ():
                more, needs = label.rate + rate, label.load + load
                if more < enough:
                    break  # whatever the other devices do it is too little, and so are those after it
                if needs <= whole:
                    if more * free_ns - needs >= priced:
                        grown.append((-more, needs, label, option))
                elif (more := label.rate + _share(whole - label.load, option.takes_ns)) > best.rate:
                    best = _Label(more, whole, _with(label, option))  # throttled, the last
        kept = _undominated([*grown, *((-old.rate, old.load, old, None) for old in labels[-1])])
        if beam is not None and len(kept) > beam:
            good = sorted(kept, key=lambda one: one.load - one.rate * free_ns)[:beam]
            kept = sorted(good, key=lambda one: -one.rate)
        labels.append(kept)
        best = max(best, kept[0], key=lambda found: found.rate)
    return best


def _share(left: _Number, takes_ns: int) -> _Number:
    """Return the rate at which pipelines use up what is left."""
    return left // takes_ns if isinstance(left, int) else left / takes_ns


def _price(options: list[_Option], tpus: int) -> int:
    """Return how much of what is shared shall cost 1, in ns, for the least bound.

    At any price no layout is faster than the price of all of it and what devices gain beside; the best are among those
    at which some option gains nothing.
    """

    def bound(free_ns: int) -> float:
        gained = ((o.devices, (1 - o.takes_ns / free_ns) / o.bottleneck_ns) for o in options)
        return float(_knapsack(gained, tpus)[tpus]) + 1 / free_ns

    return min({o.takes_ns for o in options if o.takes_ns}, key=bound, default=1)


def _promising(options: list[_Option], tpus: int, free_ns: int, floor: float) -> list[_Option]:
    """Return the options that layouts of so large a rate may have."""
    gained = [(o.devices, (1 - o.takes_ns / free_ns) / o.bottleneck_ns) for o in options]
    gains, rates = _knapsack(gained, tpus), _knapsack(((o.devices, 1 / o.bottleneck_ns) for o in options), tpus)
    return [
        o  # throttled, it may lose nothing
        for o, (k, gain) in zip(options, gained, strict=True)
        if max(0.0, gain) + 1 / free_ns + gains[tpus - k] >= floor and 1 / o.bottleneck_ns + rates[tpus - k] >= floor
    ]


def _knapsack(gained: Iterable[tuple[int, _Number]], tpus: int) -> list[_Number]:
    """Return the most that pipelines on 0, 1, ... devices gain together; `gained` are (devices, gain) of each."""
    by_size: dict[int, _Number] = {}
    for devices, gain in gained:
        by_size[devices] = max(gain, by_size.get(devices, gain))
    best: list[_Number] = [0]
    for total in range(1, tpus + 1):
        best.append(max([best[-1], *(gain + best[total - k] for k, gain in by_size.items() if k <= total)]))
    return best


def _with(label: _Label, option: _Option | None) -> tuple[Choice, ...]:
    if option is None:
        return label.choices
    return tuple(sorted((*label.choices, (option.devices, option.bottleneck_ns)), reverse=True))


def _options(fronts: Mapping[int, Iterable[tuple[int, int]]], takes: Callable[[int], int]) -> list[_Option]:
    """Return the pipelines to which no other one of no more devices is as good both ways."""
    options = [_Option(k, max(1, ns), takes(cost)) for k, front in fronts.items() for ns, cost in front]
    kept: list[_Option] = []
    for option in sorted(options, key=lambda o: (o.devices, o.bottleneck_ns, o.takes_ns)):
        if not any(o.bottleneck_ns <= option.bottleneck_ns and o.takes_ns <= option.takes_ns for o in kept):
            kept.append(option)
    return kept


def _undominated(found: list[_Grown]) -> list[_Label]:
    """Return labels that no other betters, by descending rate; of equal ones that of the first choices."""
    kept: list[_Label] = []
    for negative, load, label, option in sorted(found, key=itemgetter(0, 1)):
        if not kept or load < kept[-1].load:
            kept.append(_Label(-negative, load, _with(label, option)))
        elif load == kept[-1].load and -negative == kept[-1].rate:
            kept[-1] = min(kept[-1], _Label(-negative, load, _with(label, option)), key=lambda one: one.choices)
    return kept
