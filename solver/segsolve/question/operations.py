"""Operations as people name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve.problem import Problem


def operation(problem: Problem, text: str) -> int:
    """Return the position of an operation, given by position or by name.

    Raises:
        UsageError: there is no such operation, or more than one.
    """
    name = text.strip()
    hint = "`segsolve inspect MODEL --ops` lists them with their positions"
    if name.isascii() and name.isdigit():
        if len(name) > 9 or int(name) >= len(problem.ops):
            raise UsageError(f"there is no operation {name}, the last one is {len(problem.ops) - 1}", hint)
        return int(name)
    found = [i for i, op in enumerate(problem.ops) if op.name == name]
    found = found or [i for i, op in enumerate(problem.ops) if op.name.split(";")[0] == name]
    if not found:
        raise UsageError(f"no operation is called {name!r}", hint)
    if len(found) > 1:
        raise UsageError(f"{len(found)} operations are called {name!r}: {', '.join(map(str, found[:9]))}", hint)
    return found[0]


def after(problem: Problem, op: int) -> set[int]:
    """Return the operations that depend on one, directly or not."""
    reached, left = {op}, [op]
    while left:
        for transfer in (problem.transfers[t] for t in problem.makes[left.pop()]):
            new = set(transfer.consumers) - reached
            reached |= new
            left += new
    return reached - {op}
