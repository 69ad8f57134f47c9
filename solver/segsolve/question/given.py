"""Constraints as people give them, before there is a network to look operations up in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from segsolve.errors import UsageError
from segsolve.question.constraints import KINDS
from segsolve.question.kept import Constraints

if TYPE_CHECKING:
    from segsolve.problem import Problem

_NOTHING: tuple[Any, ...] = (None, [], ())


def parsed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked by key: values as plan.json has them, but what names operations as it was given.

    `arguments` are by the names of the options (`Option.argument`); None and empty lists ask nothing.

    Raises:
        UsageError: there is no such constraint, or a value makes no sense.
    """
    known = {kind.option.argument: key for key, kind in KINDS.items()}
    if unknown := sorted(set(arguments) - set(known)):
        raise UsageError(f"there is no constraint {unknown[0]!r}", f"known: {', '.join(known)}")
    given = {known[name]: _listed(name, value, known) for name, value in arguments.items() if value not in _NOTHING}
    return {
        key: value if KINDS[key].names_operations else KINDS[key].asked(value, None)
        for key, value in sorted(given.items())
    }


def found(asked: Mapping[str, Any], problem: Problem | None) -> Constraints:
    """Return the constraints of `parsed`, with operations by position; without those where there is no problem yet.

    Raises:
        UsageError: an operation is named that does not exist.
    """
    values = {
        key: _asked(key, value, problem) if KINDS[key].names_operations else value
        for key, value in asked.items()
        if not (problem is None and KINDS[key].names_operations)
    }
    return Constraints.of(**values)


def _asked(key: str, value: Any, problem: Problem | None) -> Any:
    kind = KINDS[key]
    try:
        return kind.asked(value, problem)
    except TypeError:  # such as a pair in place of a list of pairs
        form = f"give a list of {kind.option.metavar}"
        raise UsageError(f"{kind.option.argument} is {value!r}", form) from None


def _listed(name: str, value: Any, known: Mapping[str, str]) -> Any:
    """Return a value as its constraint takes it: a list where it is repeatable, also of the only one that was given.

    Raises:
        UsageError: it is neither.
    """
    if not KINDS[known[name]].option.is_repeatable:
        return value
    if isinstance(value, str | int):
        return [value]
    if not isinstance(value, Iterable):
        raise UsageError(f"{name} is {value!r}", "give a list")
    return value
