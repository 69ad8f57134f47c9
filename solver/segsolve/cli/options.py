"""Options that several commands share, and the values behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news
from segsolve.errors import UsageError

if TYPE_CHECKING:
    from segsolve.graph.model import Graph
    from segsolve.graph.read import LoadedModel
    from segsolve.profile.source import CostSource

Model = Annotated[Path, typer.Argument(metavar="MODEL.tflite", help="Quantised model, not yet compiled.")]
ModelOrProfile = Annotated[
    Path,
    typer.Argument(metavar="MODEL.tflite|PROFILE.json", help="Quantised model, not yet compiled, or measured costs."),
]
ModelOrGraph = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL.tflite|COSTS.json",
        help="Quantised model, not yet compiled; or costs that come from elsewhere: a profile, or a graph.",
    ),
]
PlanDir = Annotated[Path, typer.Argument(metavar="PLAN/", help="Folder that `segsolve solve -o` wrote.")]
Tpus = Annotated[int, typer.Option("--tpus", help="Number of Edge TPUs, one stage each at most.")]
TpusOfFile = Annotated[
    int | None,
    typer.Option(
        "--tpus",
        help="Number of Edge TPUs, one stage each at most; needed unless a graph or a profile says it.",
    ),
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        help="Device of the catalogue (`segsolve devices`), a description (FILE.toml), or measured costs (FILE.json).",
    ),
]
TpuMemory = Annotated[
    str | None,
    typer.Option("--tpu-memory", help="On-chip memory per TPU instead of the device's, e.g. 6MiB or 4000000."),
]
NoSpill = Annotated[
    bool, typer.Option("--no-spill", help="Allow no plan in which weights stream because they do not fit.")
]
Cpus = Annotated[
    int | None,
    typer.Option("--cpus", help="CPU cores beside the accelerators; for graphs and profiles that say what they cost."),
]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit", help="Seconds after which the best plan so far is returned.")
]
Workers = Annotated[int, typer.Option("--workers", help="Threads of the solver.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the solver or of the random inputs.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout instead of a table.")]

Signature = Annotated[
    str | None, typer.Option("--signature", help="Which of a file's several signatures; the first by default.")
]

DEFAULT_DEVICE = "edgetpu-pcie"
MOST_TPUS = 1024
MOST_THREADS = 256
MOST_BATCH = 10**6
_MOST_MEMORY = 2**40
_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "kb": 10**3, "mb": 10**6, "k": 2**10, "m": 2**20}


def parse_bytes(text: str) -> int:
    """Return a size such as ``6MiB``, ``7.5M`` or ``8000000`` in bytes.

    Raises:
        UsageError: the text is not a size.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text, re.ASCII)
    if not match or match[2].lower() not in _UNITS:
        raise UsageError(f"{text!r} is not a size", "write bytes or a unit, e.g. 8000000, 7.5MiB, 512KiB")
    return round(Decimal(match[1]) * _UNITS[match[2].lower()])


def parse_counts(option: str, text: str) -> tuple[int, ...]:
    """Return the numbers that ``2..8``, ``2,4,8`` or ``2..4,8`` stand for, ascending.

    Raises:
        UsageError: the text stands for none, or for numbers out of range.
    """
    counts: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,19})\s*(?:\.\.\s*(\d{1,19})\s*)?", part, re.ASCII)
        if not match:
            raise UsageError(f"{option} is {text!r}", "write numbers or ranges, e.g. 4, 2..8 or 2,4,8")
        first, last = int(match[1]), int(match[2] or match[1])
        for number in (first, last):
            within(option, number, 1, MOST_TPUS)
        if first > last:
            raise UsageError(f"{option} is {text!r}", f"write the smaller number first: {last}..{first}")
        counts.update(range(first, last + 1))
    return tuple(sorted(counts))


def parse_names(option: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return comma-separated names, each once; ``all`` stands for the known ones.

    Raises:
        UsageError: the text has no names.
    """
    given = (name for part in text.split(",") if (name := part.strip()))
    names = tuple(dict.fromkeys(n for name in given for n in (known if name == "all" else (name,))))
    if not names:
        raise UsageError(f"{option} names nothing", f"known: {', '.join(known)}")
    return names


def parse_memory(text: str) -> int:
    """Return the bytes that ``--tpu-memory`` asks for.

    Raises:
        UsageError: the text is not a size, or not one that makes sense.
    """
    memory = parse_bytes(text)
    within("--tpu-memory", memory, 1, _MOST_MEMORY)
    return memory


def check_search(tpus: int | None, time_limit: float | None, workers: int, seed: int) -> None:
    """Raise a UsageError if an option that every search takes makes no sense."""
    if tpus is not None:
        within("--tpus", tpus, 1, MOST_TPUS)
    within("--workers", workers, 1, MOST_THREADS)
    within("--seed", seed, 0)
    if time_limit is not None:
        within("--time-limit", time_limit, 0)


def tpus_or(given: int | None, said: int | None) -> int:
    """Return the number of TPUs that was given, or what a file says of it.

    Raises:
        UsageError: nobody says it, or it makes no sense.
    """
    tpus = said if given is None else given
    if tpus is None:
        raise UsageError("missing option '--tpus'", "give the number of Edge TPUs, e.g. --tpus 4")
    within("--tpus" if given is not None else "the number of accelerators", tpus, 1, MOST_TPUS)
    return tpus


def device_count(costs: CostSource) -> int | None:
    """Return how many devices measured costs say there are; None if they do not, or are not measured."""
    from segsolve.profile.measured import MeasuredCosts

    return costs.profile.device.count if isinstance(costs, MeasuredCosts) else None


def within(option: str, value: float, least: float, most: float = 2**31 - 1) -> None:
    """Raise a UsageError if an option's value is outside of what makes sense, or of what the libraries take."""
    if not value >= least:
        raise UsageError(f"{option} is {value}", f"give at least {least}")
    if value > most:
        raise UsageError(f"{option} is {value}", f"give at most {most}")


def load_costs(
    model: Path, device: str, tpu_memory: str | None, signature: str | None = None
) -> tuple[LoadedModel, CostSource]:
    """Read a model and a device and return the costs of the one on the other.

    Raises:
        ModelError, DeviceError, UsageError: as the model, the device or the memory is at fault.
    """
    from segsolve_runtime.native import prepare

    prepare()  # the process that reads the model starts beside the imports

    from segsolve.graph.read import read_model
    from segsolve.profile.load import device_costs

    costs_of = device_costs(device, None if tpu_memory is None else parse_memory(tpu_memory))
    loaded = read_model(model, signature)
    costs = costs_of(loaded.graph)
    _tell_placement(costs)
    _tell_peculiarities(loaded.graph)
    return loaded, costs


def _tell_placement(costs: CostSource) -> None:
    """Say what an Edge TPU does of a model, and what the host's CPU does, and why."""
    from segsolve.profile.analytic import AnalyticCosts

    if not isinstance(costs, AnalyticCosts):
        return
    graph, mapped = costs.graph, costs.mapped
    if mapped.first == mapped.end:
        news(f"an Edge TPU does nothing for this model, all of it runs on the host's CPU: {mapped.fallbacks[0].reason}")
        return
    done = sum(op.macs for op in graph.ops[mapped.first : mapped.end])
    if graph.macs and done < graph.macs / 2:
        news(
            f"an Edge TPU does {mapped.end - mapped.first} of the model's {len(graph.ops)} operations, "
            f"{done / graph.macs:.0%} of its multiply-accumulates"
        )
    for part in mapped.fallbacks:
        one = part.first == part.last
        what = f"operation {part.first} runs" if one else f"operations {part.first} to {part.last} run"
        news(f"{what} on the host's CPU: {part.reason}")
    custom = [op for op in graph.ops[mapped.end :] if op.kind.startswith("CUSTOM:")]
    if custom:
        news(f"what {custom[0].kind.removeprefix('CUSTOM:')} costs there is not known; segsolve profile measures it")


def _tell_peculiarities(graph: Graph) -> None:
    """Say what is unusual about a model."""
    if graph.signature is not None:
        news(f"of the file's signatures {graph.signature!r} was taken; --signature names another")
    if unsized := [t.name for t in graph.tensors if t.dynamic]:
        more = f" and {len(unsized) - 1} more" if len(unsized) > 1 else ""
        news(f"the size of {unsized[0]!r}{more} is not known until the model runs; an Edge TPU takes fixed sizes only")
    for position, reason in graph.blocked.items():
        news(f"operation {position} ({graph.ops[position].kind}) cannot be run here, only what comes before: {reason}")
    if graph.state is not None:
        news(
            f"the model keeps {graph.state} from one inference to the next: copies of it, or of a stage, would each "
            "keep their own, so that there is one pipeline unless you say --layout any"
        )


def load_model_or_profile(
    model: Path, device: str, tpu_memory: str | None, signature: str | None = None
) -> tuple[LoadedModel | None, CostSource]:
    """Do the same, or read a profile that stands for both model and device: then there is no model.

    Raises:
        ModelError, DeviceError, UsageError: as the model, the device, the profile or the memory is at fault.
    """
    from segsolve.profile.load import is_profile, profile_costs

    if not is_profile(model):
        return load_costs(model, device, tpu_memory, signature)
    if device != DEFAULT_DEVICE:
        raise UsageError(f"{model} is a profile, which has the device in it", "leave out --device")
    return None, profile_costs(model, None if tpu_memory is None else parse_memory(tpu_memory))
