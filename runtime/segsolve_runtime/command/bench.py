"""bench: run plans in turns and tell which is faster, or that it is a tie."""

from __future__ import annotations

import argparse
from pathlib import Path

from segsolve_runtime.bench.entrants import entrants_of
from segsolve_runtime.bench.report import csv_text, document, lines
from segsolve_runtime.bench.turns import Effort, take_turns
from segsolve_runtime.command.options import add_json, add_where, show, show_json, where_of, whole
from segsolve_runtime.contract.writing import replace_file
from segsolve_runtime.streams import say


def options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("plans", nargs="+", type=Path, metavar="PLAN", help="plan folders, or a folder of them")
    add_where(parser)
    parser.add_argument("--mode", default="throughput", choices=("throughput", "latency"))
    parser.add_argument("--rounds", type=whole(1), default=7, help="turns of each plan")
    parser.add_argument("--count", type=whole(1), default=200, help="inferences in each turn")
    parser.add_argument("--warm-up", type=whole(0), default=10, help="inferences before those")
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--csv", type=Path, help="file for a row per turn")
    add_json(parser)


def command(chosen: argparse.Namespace) -> int:
    """Run the plans and print what they did."""
    where = where_of(chosen)
    effort = Effort(
        rounds=chosen.rounds, count=chosen.count, warm_up=chosen.warm_up, seed=chosen.seed, mode=chosen.mode
    )
    entrants = entrants_of(chosen.plans)
    take_turns(entrants, where, effort, lambda r, e: say(f"round {r + 1} of {effort.rounds}: {e.name}"))
    if chosen.csv is not None:
        replace_file(chosen.csv, csv_text(entrants).encode())
    if chosen.json:
        show_json(document(entrants, where, effort))
    else:
        show(lines(entrants, where, effort))
    return 0
