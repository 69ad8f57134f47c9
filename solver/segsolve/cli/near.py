"""``segsolve solve --within``: the plans that predictions cannot tell from the best."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from segsolve.cli.console import progress, show, show_json
from segsolve.errors import UsageError
from segsolve.question import Cuts, Layout, Objective
from segsolve.values import within

if TYPE_CHECKING:
    from segsolve.library.asking import Asking
    from segsolve.problem import Problem
    from segsolve.search.answer import Answer

MOST_PLANS = 100


def parse_share(option: str, text: str) -> Fraction:
    """Return the share that ``5%`` or ``0.05`` stands for.

    Raises:
        UsageError: it is no share, or not between 0 and 100 %.
    """
    try:
        share = Fraction(text.removesuffix("%").strip()) / (100 if text.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"{option} is {text!r}", "write a share such as 5%") from None
    if not 0 <= share <= 1:
        raise UsageError(f"{option} is {text!r}", "write a share from 0% to 100%")
    return share


def shortlist_share(near: str | None, most: int, asking: Asking) -> Fraction | None:
    """Return the share of ``--within``, None if it was not given.

    Raises:
        UsageError: it or the number of plans makes no sense, or the question has no shortlist.
    """
    if near is None:
        return None
    from segsolve.question.given import parsed
    from segsolve.search.shortlist import check_listed

    within("--most-plans", most, 1, MOST_PLANS)
    if asking.objective is not Objective.THROUGHPUT:
        hint = "leave out --objective; for other aims, --objective pareto lists all plans that none betters"
        raise UsageError(f"--within lists plans of nearly the same throughput, not of {asking.objective}", hint)
    if asking.cuts is Cuts.DAG:
        hint = "leave out --cuts; the best plan itself is looked for among all cuts"
        raise UsageError("--within lists plans that cut the execution order", hint)
    check_listed(parsed(asking.constraints))
    return parse_share("--within", near)


def show_shortlist(problem: Problem, best: Answer, share: Fraction, most: int, *, as_json: bool) -> tuple[Answer, ...]:
    """Show the shortlist, and return it as answers; the first is the best one."""
    from segsolve.report.shortlist import shortlist_document, shortlist_table
    from segsolve.search.shortlist import answers, shortlist

    with progress("looking for the next best plans"):
        asked = best.question
        listed = shortlist(problem, share, most, single=asked.layout is Layout.PIPELINE, kept=asked.constraints)
    if as_json:
        show_json(shortlist_document(problem, listed, share))
    else:
        show(shortlist_table(listed, share, most))
    return answers(listed, best)
