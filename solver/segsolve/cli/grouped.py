"""The options of a command in groups, so that a long help is read by what one looks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from typer._click.core import ParameterSource
from typer.core import TyperCommand, TyperOption
from typer.exceptions import TyperException

from segsolve.cli.completing import offer
from segsolve.cli.settings import Setting, folder_of, in_force, settings, variable
from segsolve.errors import UsageError

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter, Parameter

FEW = 8
"""Up to so many options need no groups."""

GROUPS: Final = {
    "What to do": ("--compile", "--co-compile", "--check-coral", "--export", "--import", "--mode"),
    "The question": (
        *("--tpus", "--cpus", "--objective", "--layout", "--cuts", "--batch", "--planner", "--planners"),
        *("--pick", "--points", "--within", "--most-plans", "--segments", "--ops"),
    ),
    "Several models": ("--pool", "--rate", "--weights", "--sharing"),
    "Constraints": (
        *("--max-latency", "--min-fps", "--max-stages", "--no-spill"),
        *("--cut-before", "--no-cut-before", "--keep-together", "--pin"),
    ),
    "Devices and costs": (
        *("--device", "--devices", "--tpu-memory", "--host-cores", "--optimistic", "--backend", "--isolate"),
        *("--profile", "--model", "--signature"),
        *("--compiler", "--min-runtime-version", "--attached", "--guess"),
    ),
    "Inputs": ("--input", "--inputs", "--raw-tensor", "--fit", "--mean", "--std", "--count"),
    "Results": (
        *("--output", "--dequantize", "--top", "--detections", "--threshold", "--labels", "--pictures"),
        *("--verify", "--json", "--csv", "--profile-out"),
    ),
    "Search": ("--time-limit", "--workers", "--seed", "--iterations", "--tolerance", "--rounds", "--noise"),
    "Effort": ("--processes", "--engine", "--scheduler", "--retry-failed", "--jobs", "--cache", "--runs", "--warm-up"),
    "Pipeline": ("--threads", "--queue-size", "--max-queue"),
    "Faults": ("--on-fault", "--rejoin", "--stage-timeout", "--timeout", "--grace"),
    "Network": ("--host", "--port", "--grpc", "--grpc-port", "--token-file", "--max-body"),
    "Observation": ("--timeline", "--trace", "--metrics-port", "--metrics-address", "--log-requests"),
}
"""Options by what they are about, the same in every command; one that is not here stands under `Options`."""

_GROUP_OF: Final = {option: group for group, options in GROUPS.items() for option in options}


class GroupedCommand(TyperCommand):
    """A command whose help lists its options in groups, and for whose values a shell may offer words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self.name or "", self.params)
        for param in self.params:
            if isinstance(param, TyperOption):
                param.envvar, param.show_envvar = variable(_name(param)), False

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse a command line; what it leaves out comes from the environment and from files."""
        mine = options_of(self)
        settings_of = in_force(known_settings(ctx, folder_of(args)), self.name or "", frozenset(mine))
        given = {option: setting.value for option, setting in settings_of.items()}
        if any(argument.endswith(".json") for argument in args):
            given.pop("device", None)  # a file of costs has its device in it
        ctx.default_map = {mine[option].name: _as_given(value) for option, value in given.items()}
        try:
            left = super().parse_args(ctx, args)
            _refuse_both(ctx)
            return left
        except TyperException as error:
            param = getattr(error, "param", None)
            if not isinstance(param, TyperOption) or (setting := settings_of.get(_name(param))) is None:
                raise
            if _is_typed(ctx, param.name or ""):
                raise
            why = error.format_message().rpartition(": ")[2].rstrip(".")
            raise UsageError(f"{setting.source} sets {setting.option} to {setting.value!r}: {why}") from None

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write arguments first, then the options group by group."""
        found: dict[str, list[tuple[str, str]]] = {}
        options = [param for param in self.get_params(ctx) if param.param_type_name == "option"]
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is None:
                continue
            named, said = record
            record = re.sub(r"<list\[(\w+)\]>", r"<\1>", named), said
            if param.param_type_name == "argument":
                group, record = "Arguments", (named.partition(" <")[0], said)  # its name says what it is
            else:
                group = "Options" if len(options) <= FEW else _group(param.opts)
            found.setdefault(group, []).append(record)
        for group in ("Arguments", *GROUPS, "Options"):
            if group in found:
                with formatter.section(group):
                    formatter.write_dl(found[group])


def known_settings(ctx: Context, folder: Path) -> list[Setting]:
    """Return all settings that there are for the commands of the program that runs, the weakest first."""
    commands = getattr(ctx.find_root().command, "commands", {})
    return settings(lambda: {name: frozenset(options_of(command)) for name, command in commands.items()}, folder)


def options_of(command: Command) -> dict[str, Parameter]:
    """Return a command's options, and those of its own commands, by their names without dashes."""
    inner = getattr(command, "commands", {}).values()
    found = {_name(param): param for each in inner for param in options_of(each).values()}
    return found | {_name(param): param for param in command.params if param.param_type_name == "option"}


def _name(param: Parameter) -> str:
    return next(name for name in param.opts if name.startswith("--")).lstrip("-")


def _refuse_both(ctx: Context) -> None:
    """Raise a UsageError if a command line says with --pool and otherwise which devices there are."""
    for pool, others in _EXCLUDED.items():
        if pool not in ctx.params:
            continue
        models = ctx.params.get("models") or () if pool == "pools" else ()
        lists = [name for name in models if name.endswith((".toml", ".json"))]
        said = f"--{pool}" if _is_typed(ctx, pool) else lists[0] if lists else None
        for name in others:
            if said and _is_typed(ctx, name):
                raise UsageError(
                    f"{said} and --{name} exclude each other", "a pool says kinds and counts of the devices"
                )


_EXCLUDED = {"pool": ("tpus", "device"), "pools": ("tpus", "devices", "planners", "cuts", "batch")}


def _is_typed(ctx: Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _as_given(value: Any) -> Any:
    """Return a value of a file as a command line would give it."""
    if isinstance(value, list):
        return [_as_given(one) for one in value]
    return value if isinstance(value, bool) else str(value)


def _group(names: list[str]) -> str:
    return next((_GROUP_OF[name] for name in names if name in _GROUP_OF), "Options")
