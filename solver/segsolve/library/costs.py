"""Models, devices and profiles as people name them, and the costs of the one on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.errors import UsageError
from segsolve.values import DEFAULT_DEVICE, MOST_HOST_CORES, MOST_TPUS, parse_memory, whole
from segsolve_runtime.contract.wording import percent

if TYPE_CHECKING:
    from segsolve.device.model import Changes
    from segsolve.graph.model import Graph
    from segsolve.graph.read import LoadedModel
    from segsolve.profile.analytic import AnalyticCosts
    from segsolve.profile.source import CostSource

Tell = Callable[[str], object]
"""Hears a sentence that a user should read."""


def quiet(_: str) -> None:
    """Hear, and say nothing."""


def changes_of(
    tpu_memory: str | None, host_cores: int | None = None, *, host_of: str | None = None, optimistic: bool = False
) -> Changes:
    """Return what a user knows better than a device's description, from what was typed.

    Raises:
        UsageError: a value makes no sense.
    """
    from segsolve.device.model import Changes as Known

    if host_cores is not None:
        whole("--host-cores", host_cores, 1, MOST_HOST_CORES)
    memory = None if tpu_memory is None else parse_memory(tpu_memory)
    return Known(memory_bytes=memory, host_of=host_of, host_cores=host_cores, optimistic=optimistic)


def refuse_changes(host_cores: int | None, *, optimistic: bool) -> None:
    """Raise a UsageError if something is to be changed of a graph's devices, of which no more than their memory can."""
    if host_cores is not None or optimistic:
        raise UsageError("a graph has its costs in it", "leave out --host-cores and --optimistic")


def load_costs(
    model: Path, device: str, changes: Changes, signature: str | None = None, tell: Tell = quiet
) -> tuple[LoadedModel, CostSource]:
    """Read a model and a device and return the costs of the one on the other; `tell` hears what is unusual.

    Raises:
        ModelError, DeviceError, UsageError: as the model, the device or the memory is at fault.
    """
    from segsolve_runtime.native import prepare

    prepare()  # the process that reads the model starts beside the imports

    from segsolve.graph.read import read_model
    from segsolve.profile.load import device_costs

    costs_of = device_costs(device, changes)
    loaded = read_model(model, signature)
    costs = costs_of(loaded.graph)
    for note in (*placement_notes(costs), *peculiarities(loaded.graph)):
        tell(note)
    return loaded, costs


def placement_notes(costs: CostSource) -> Iterator[str]:
    """Yield what an Edge TPU does of a model, and what the host's CPU does, and why, a sentence each."""
    from segsolve.device.latency import host_ns
    from segsolve.profile.analytic import AnalyticCosts

    if not isinstance(costs, AnalyticCosts):
        return
    graph, mapped = costs.graph, costs.mapped
    if mapped.first == mapped.end:
        yield (
            f"an Edge TPU does nothing for this model, all of it runs on the host's CPU: {mapped.fallbacks[0].reason}"
        )
        return
    done = sum(op.macs for op in graph.ops[mapped.first : mapped.end])
    if graph.macs and done < graph.macs / 2:
        yield (
            f"an Edge TPU does {mapped.end - mapped.first} of the model's {len(graph.ops)} operations, "
            f"{percent(done / graph.macs)} of its multiply-accumulates"
        )
    for part in mapped.fallbacks:
        one = part.first == part.last
        what = f"operation {part.first} runs" if one else f"operations {part.first} to {part.last} run"
        yield (f"{what} on the host's CPU: {part.reason}")
    yield from _large_images(costs)
    custom = [op for op in graph.ops[mapped.end :] if op.kind.startswith("CUSTOM:")]
    if custom:
        guess = host_ns(costs.device, graph, custom[0]) / 1e6
        yield (
            f"what {custom[0].kind.removeprefix('CUSTOM:')} costs there is not known: {guess:.2f} ms is a guess; "
            "segsolve profile measures it"
        )


def _large_images(costs: AnalyticCosts) -> Iterator[str]:
    """Yield which end of what is not known of large images the costs are."""
    from segsolve.device.memory import image_scratch_bytes, is_large

    graph, device = costs.graph, costs.device
    if device.is_optimistic and is_large(device, graph):
        yield "no rule is known for images this large: all the memory that they may leave is counted on (--optimistic)"
    elif taken := image_scratch_bytes(device, graph):
        yield (
            f"no rule is known for images this large: {taken / 2**20:.2f} MiB of each TPU's memory are taken to be "
            "theirs, the most that was seen; --optimistic plans without that"
        )


def peculiarities(graph: Graph) -> Iterator[str]:
    """Yield what is unusual about a model, a sentence each."""
    if graph.signature is not None:
        yield (f"of the file's signatures {graph.signature!r} was taken; --signature names another")
    if unsized := [t.name for t in graph.tensors if t.dynamic]:
        more = f" and {len(unsized) - 1} more" if len(unsized) > 1 else ""
        yield (
            f"the size of {unsized[0]!r}{more} is not known until the model runs; an Edge TPU takes fixed sizes only"
        )
    for position, reason in graph.blocked.items():
        yield (
            f"operation {position} ({graph.ops[position].kind}) cannot be run here, only what comes before: {reason}"
        )
    if graph.state is not None:
        yield (
            f"the model keeps {graph.state} from one inference to the next: copies of it, or of a stage, would each "
            "keep their own, so that there is one pipeline unless you say --layout any"
        )


def keeps_state(loaded: LoadedModel | None) -> bool:
    """Whether a model, where there is one, keeps something from one inference to the next: of copies, each its own."""
    return loaded is not None and loaded.graph.state is not None


def load_model_or_profile(
    model: Path, device: str, changes: Changes, signature: str | None = None, tell: Tell = quiet
) -> tuple[LoadedModel | None, CostSource]:
    """Do the same, or read a profile or a graph that stands for both model and device: then there is no model.

    Raises:
        ModelError, DeviceError, UsageError: as the model, the device, the profile or the memory is at fault.
    """
    from segsolve.profile.load import is_profile, profile_costs
    from segsolve.profile.placement import is_placement
    from segsolve_runtime.native import beside

    if not is_profile(model):
        beside(partial(import_module, "segsolve.solvers.cpsat.engine"))  # a quarter of a second, and mostly pandas
        return load_costs(model, device, changes, signature, tell)
    if device != DEFAULT_DEVICE:
        raise UsageError(f"{model} is a profile, which has the device in it", "leave out --device")
    if is_placement(model):
        from segsolve.library.graphs import graph_costs

        refuse_changes(changes.host_cores, optimistic=changes.optimistic)
        return None, graph_costs(model, changes.memory_bytes, tell)
    return None, profile_costs(model, changes)


def tpus_or(given: int | None, said: int | None) -> int:
    """Return the number of TPUs that was given, or what a file says of it.

    Raises:
        UsageError: nobody says it, or it makes no sense.
    """
    tpus = said if given is None else given
    if tpus is None:
        raise UsageError("missing option '--tpus'", "give the number of Edge TPUs, e.g. --tpus 4")
    whole("--tpus" if given is not None else "the number of accelerators", tpus, 1, MOST_TPUS)
    return tpus


def device_count(costs: CostSource) -> int | None:
    """Return how many devices costs say there are that come from a file; None if they do not."""
    from segsolve.library.graphs import GraphCosts
    from segsolve.profile.measured import MeasuredCosts

    if isinstance(costs, GraphCosts):
        return costs.count
    return costs.profile.device.count if isinstance(costs, MeasuredCosts) else None
