"""The options of a command in groups, so that a long help is read by what one looks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperCommand

from segsolve.cli.completing import offer

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

FEW = 8
"""Up to so many options need no groups."""

GROUPS: Final = {
    "The question": (
        *("--tpus", "--cpus", "--objective", "--layout", "--cuts", "--batch", "--planner", "--planners"),
        *("--pick", "--segments", "--ops"),
    ),
    "Constraints": (
        *("--max-latency", "--min-fps", "--max-stages", "--no-spill"),
        *("--cut-before", "--no-cut-before", "--keep-together", "--pin"),
    ),
    "Devices and costs": (
        *("--device", "--devices", "--tpu-memory", "--backend", "--profile", "--model", "--signature"),
        *("--compiler", "--min-runtime-version", "--attached", "--guess"),
    ),
    "Inputs": ("--input", "--inputs", "--raw-tensor", "--fit", "--mean", "--std", "--count"),
    "Results": (
        *("--output", "--dequantize", "--top", "--detections", "--threshold", "--labels", "--pictures"),
        *("--verify", "--json", "--csv", "--profile-out"),
    ),
    "Search": ("--time-limit", "--workers", "--seed", "--iterations", "--tolerance", "--rounds"),
    "Effort": ("--processes", "--engine", "--scheduler", "--retry-failed", "--jobs", "--runs", "--warm-up"),
    "Pipeline": ("--threads", "--queue-size", "--max-queue"),
    "Faults": ("--on-fault", "--stage-timeout", "--timeout", "--grace"),
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

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write arguments first, then the options group by group."""
        found: dict[str, list[tuple[str, str]]] = {}
        options = [param for param in self.get_params(ctx) if param.param_type_name == "option"]
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is None:
                continue
            if param.param_type_name == "argument":
                group = "Arguments"
            else:
                group = "Options" if len(options) <= FEW else _group(param.opts)
            found.setdefault(group, []).append(record)
        for group in ("Arguments", *GROUPS, "Options"):
            if group in found:
                with formatter.section(group):
                    formatter.write_dl(found[group])


def _group(names: list[str]) -> str:
    return next((_GROUP_OF[name] for name in names if name in _GROUP_OF), "Options")
