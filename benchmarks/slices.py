"""Long searches for faults go in slices: what ran is recorded after each, and the next run goes on from there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.common import add_results, part_of


@dataclass(slots=True)
class Slice:
    """What became of some seeds: how often which outcome, the faults by seed, and the most memory of a process."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)
    most_mib: float = 0.0

    def add(self, seed: int, outcome: str, fault: str, mib: float) -> None:
        """Count one more seed."""
        self.outcomes[outcome] += 1
        self.most_mib = max(self.most_mib, mib)
        if fault:
            self.faults[seed] = fault


def search(
    where: tuple[str, str, str], count: int, attempt: Callable[[Sequence[int]], Slice], *, size: int, record: bool
) -> dict[str, Any]:
    """Try all seeds below `count`, and return what a result file says of it.

    Where that is recorded (at `where`: file, section, part), seeds that are recorded are not tried again but for those
    that were faults: who ends without one now is listed as mended.
    """
    known = part_of(*where) if record else {}
    found = Slice(Counter(known.get("outcomes", {})), _seeds(known.get("faults", {})), known.get("most_mib", 0.0))
    mended, tried = _seeds(known.get("mended", {})), known.get("tried", 0)
    again = attempt(sorted(found.faults)) if found.faults else Slice()
    for seed in set(found.faults) - set(again.faults):
        mended[seed] = found.faults.pop(seed)
    while True:
        result = _result(tried, found, mended)
        if record:
            add_results(where[0], where[1], {where[2]: result})
        if tried >= count:
            return result
        seeds = range(tried, min(count, tried + size))
        one = attempt(seeds)
        found.outcomes += one.outcomes
        found.faults |= one.faults
        found.most_mib = max(found.most_mib, one.most_mib)
        tried = seeds.stop


def _seeds(faults: dict[str, str]) -> dict[int, str]:
    return {int(seed): why for seed, why in faults.items()}


def _result(tried: int, found: Slice, mended: dict[int, str]) -> dict[str, Any]:
    return {
        "tried": tried,
        "outcomes": dict(found.outcomes.most_common()),
        "most_mib": round(found.most_mib),
        "faults": dict(sorted(found.faults.items())),
        "mended": dict(sorted(mended.items())),
    }


def show(found: Iterable[tuple[str, dict[str, Any]]]) -> bool:
    """Print each part as it comes, and return whether one has faults."""
    faulty = False
    for name, part in found:
        print(name, json.dumps(part), flush=True)
        faulty |= bool(part["faults"])
    return faulty
