"""The result of a benchmark as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from segsolve_runtime.bench.turns import Effort, Entrant, Where
from segsolve_runtime.bench.verdict import NOISE, UNDECIDED, compare, estimate
from segsolve_runtime.contract.wording import percent
from segsolve_runtime.observe.drift import BEHIND

_UNITS = {"throughput": "inferences/s", "latency": "ms"}


def document(entrants: Sequence[Entrant], where: Where, effort: Effort, noise: float = NOISE) -> dict[str, Any]:
    """Return the result as JSON has it."""
    return {
        "backend": where.backend,
        "unit": _unit(entrants, effort),
        **asdict(effort),
        "noise": noise,
        "plans": [_entry(entrant, entrants[0], noise) for entrant in entrants],
    }


def _entry(entrant: Entrant, first: Entrant, noise: float) -> dict[str, Any]:
    heat = [turn.hottest_c for turn in entrant.turns if turn.hottest_c is not None]
    against = compare(entrant.values, first.values, noise=noise)
    return {
        "name": entrant.name,
        "layout": entrant.layout,
        "predicted_fps": entrant.predicted_fps,
        **estimate(entrant.values).as_dict(),
        "slowest_stage_ms": median(turn.stage_ms for turn in entrant.turns),
        "open_s": median(turn.open_s for turn in entrant.turns),
        "first_result_s": median(turn.first_s for turn in entrant.turns),
        "hottest_c": max(heat, default=None),
        "late": median(turn.late for turn in entrant.turns),
        "ratio_to_first": against.ratio.as_dict(),
        "verdict": None if entrant is first else against.verdict,
        "turns": entrant.values,
    }


def _unit(entrants: Sequence[Entrant], effort: Effort) -> str:
    return "periods/s" if any(entrant.is_pool for entrant in entrants) else _UNITS[effort.mode]


def csv_text(entrants: Sequence[Entrant]) -> str:
    """Return a row per turn."""
    stream = io.StringIO()
    columns = ("plan", "turn", "value", "stage_ms", "open_s", "first_s", "hottest_c", "late")
    writer = csv.DictWriter(stream, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    for entrant in entrants:
        for number, turn in enumerate(entrant.turns):
            writer.writerow({"plan": entrant.name, "turn": number, **asdict(turn)})
    return stream.getvalue()


def lines(entrants: Sequence[Entrant], where: Where, effort: Effort, noise: float = NOISE) -> Iterator[str]:
    """Yield the result as text, a line per plan."""
    found, unit = document(entrants, where, effort, noise), _unit(entrants, effort)
    width = max(len(entrant.name) for entrant in entrants)
    turns = f"{effort.rounds} turns of {effort.count} inferences each, shuffled"
    yield f"{effort.mode} on {where.backend}, {turns};"
    yield f"medians with {100 * found['plans'][0]['confidence']:.0f} % intervals"
    for entry in found["plans"]:
        interval = f"{entry['low']:.2f} to {entry['high']:.2f}"
        text = f"{entry['name']:{width}}  {entry['median']:10.2f} {unit}  ({interval})"
        text += f"  slowest stage {entry['slowest_stage_ms']:.2f} ms"
        if entry["hottest_c"] is not None:
            text += f"  {entry['hottest_c']:.0f} C"
        if entry["verdict"] is not None:
            is_apart = entry["verdict"] not in ("a tie", UNDECIDED)
            text += f"  {entry['verdict']}"
            text += f" by {percent(abs(entry['ratio_to_first']['median'] - 1))}" if is_apart else ""
        yield text
    if slow := [entry["name"] for entry in found["plans"] if entry["late"] > BEHIND]:
        yield f"This machine did not keep up with {', '.join(slow)}: what was measured is the machine, not the plans."
    if len(entrants) > 1:
        tie = f"less than {100 * noise:.0f} % is a tie, as repeats differ that much"
        yield f"Against {entrants[0].name}, turn by turn; {tie}."
