"""Options that say what is asked of a plan, made of the constraints that there are."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, TypeVar

import typer

from segsolve.question.constraint import Option
from segsolve.question.constraints import KINDS

_Result = TypeVar("_Result")


def with_constraints(command: Callable[..., _Result]) -> Callable[..., _Result]:
    """Give a command an option for each constraint; its parameter `constraints` gets their values by argument."""
    options = {kind.option.argument: kind.option for kind in KINDS.values()}
    own = inspect.signature(command, eval_str=True).parameters
    asked = [_parameter(name, option) for name, option in options.items()]

    @wraps(command)
    def run(**given: Any) -> _Result:
        constraints = {name: given.pop(name) for name in options}
        return command(**given, constraints=constraints)

    found = [p for p in own.values() if p.name != "constraints"]
    at = [*own].index("constraints")
    vars(run)["__signature__"] = inspect.Signature([*found[:at], *asked, *found[at:]])
    run.__annotations__ = {p.name: p.annotation for p in (*found, *asked)}
    return run


def _parameter(name: str, option: Option) -> inspect.Parameter:
    kind: Any = list[option.type] if option.is_repeatable else option.type  # type: ignore[name-defined]
    parser = _number_by_model if option.type is int else None
    told = typer.Option(
        option.flag, metavar=option.metavar or ("<int>" if parser else None), help=option.help, parser=parser
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=None,
        annotation=Annotated[kind | None, told],
    )


def _number_by_model(text: object) -> int | str:
    """Return a number, or what is said of a model by its name, such as ``net=2``, as it is."""
    if "=" in str(text):
        return str(text)
    try:
        return int(str(text))
    except ValueError:
        raise typer.BadParameter("it is not a valid integer") from None
