"""The words that a shell may offer for the values of options and arguments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typer._click import Context, Parameter
    from typer._click.shell_completion import CompletionItem

SHELLS: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_SEGSOLVE_COMPLETE"
"""Set by the scripts of `script`: the program then prints words instead of doing something."""

_Words = Callable[[], Iterable[str]]


def script(shell: str) -> str:
    """Return what a shell (one of `SHELLS`) runs to complete segsolve's command lines."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="segsolve", complete_var=VARIABLE, shell=shell)


def prepare() -> None:
    """Let the program answer a shell that asks for words."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()


def offer(command: str, params: Iterable[Parameter]) -> None:
    """Let a shell offer the words of `_VALUES` for those of a command's parameters that take them."""
    for param in params:
        keys = param.opts if param.param_type_name == "option" else [f"{command} {param.name}"]
        words = next((_VALUES[key] for key in keys if key in _VALUES), None)
        if words is not None:
            param._custom_shell_complete = _completion(words)  # Typer's own way copies this out of every declaration


def _completion(words: _Words) -> Callable[[Context, Parameter, str], list[CompletionItem]]:
    def complete(_: Context, param: Parameter, incomplete: str) -> list[CompletionItem]:
        from typer._click.shell_completion import CompletionItem

        # Of values with commas between them, the last is completed.
        before, comma, begun = incomplete.rpartition(",") if param.opts[0] in _LISTS else ("", "", incomplete)
        return [CompletionItem(f"{before}{comma}{word}") for word in words() if word.startswith(begun)]

    return complete


def _devices() -> Iterable[str]:
    from segsolve.device.model import ALIASES, device_names

    return (*device_names(), *ALIASES)


def _networks() -> Iterable[str]:
    from segsolve.zoo.catalogue import names

    return ("all", *names())


def _strategies() -> Iterable[str]:
    from segsolve.search.strategies import planner_names

    return planner_names()


def _compared() -> Iterable[str]:
    from segsolve.batch.jobs import LAYOUTS
    from segsolve.search.strategies import COMPARED

    return (*COMPARED, LAYOUTS, "all")


def _backends() -> Iterable[str]:
    from segsolve_runtime.backends import BACKENDS

    return BACKENDS


def _after_faults() -> Iterable[str]:
    from segsolve.cli.running import ON_FAULT

    return ON_FAULT


def _fits() -> Iterable[str]:
    from segsolve_runtime.io.pixels import FITS

    return FITS


_LISTS: Final = ("--devices", "--planners")
_VALUES: Final[Mapping[str, _Words]] = {
    "--device": _devices,
    "--devices": _devices,
    "devices device": _devices,
    "--planner": _strategies,
    "--planners": _compared,
    "--backend": _backends,
    "--on-fault": _after_faults,
    "--fit": _fits,
    "build name": _networks,
    "completion shell": lambda: SHELLS,
}
"""Words by option, or by command and argument."""
