"""`segsolve.solve` and `segsolve.compare`: from what a user names to an answer, or to rows of all strategies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from segsolve.errors import UsageError
from segsolve.library.answer import Answer, Rows
from segsolve.library.asking import Asking
from segsolve.library.costs import (
    Tell,
    changes_of,
    device_count,
    keeps_state,
    load_model_or_profile,
    quiet,
    refuse_changes,
    tpus_or,
)
from segsolve.library.graphs import is_graph, solve_graph
from segsolve.library.of_pools import (
    names_one,
    pool_or_error,
    refuse_constraints,
    refuse_in_questions,
    refuse_without_pool,
    without_pool,
)
from segsolve.library.pools import SolvedPool, solve_pool
from segsolve.question import Cuts, Layout, Objective
from segsolve.values import DEFAULT_DEVICE, MOST_TPUS, parse_counts, whole

if TYPE_CHECKING:
    from segsolve.device.model import Changes
    from segsolve.graph.read import LoadedModel
    from segsolve.plan.folder import CostsFile
    from segsolve.problem import Problem
    from segsolve.profile.source import DeviceFacts
    from segsolve.question import Question
    from segsolve.solvers.base import Limits, Observer


_Word = TypeVar("_Word", Objective, Layout, Cuts)


@overload
def solve(
    model: str | Path,
    *,
    tpus: int | None = None,
    device: str = DEFAULT_DEVICE,
    objective: str = "throughput",
    layout: str | None = None,
    cuts: str = "auto",
    batch: int | None = None,
    tpu_memory: str | None = None,
    host_cores: int | None = None,
    optimistic: bool = False,
    no_spill: bool = False,
    cpus: int | None = None,
    planner: str = "cpsat",
    signature: str | None = None,
    pick: int | None = None,
    limits: Limits | None = None,
    tell: Tell = quiet,
    observe: Observer | None = None,
    **constraints: Any,
) -> Answer: ...
@overload
def solve(
    model: str | Path | Sequence[str | Path],
    *,
    pool: str,
    rates: Mapping[str, float | str] | None = None,
    weights: Mapping[str, int] | None = None,
    sharing: str | None = None,
    host_of: str | None = None,
    objective: str = "throughput",
    tpu_memory: str | None = None,
    host_cores: int | None = None,
    optimistic: bool = False,
    no_spill: bool = False,
    limits: Limits | None = None,
    tell: Tell = quiet,
    observe: Observer | None = None,
    **constraints: Any,
) -> Answer | SolvedPool: ...
def solve(
    model: str | Path | Sequence[str | Path],
    *,
    pool: str | None = None,
    rates: Mapping[str, float | str] | None = None,
    weights: Mapping[str, int] | None = None,
    sharing: str | None = None,
    host_of: str | None = None,
    tpus: int | None = None,
    device: str = DEFAULT_DEVICE,
    objective: str = "throughput",
    layout: str | None = None,
    cuts: str = "auto",
    batch: int | None = None,
    tpu_memory: str | None = None,
    host_cores: int | None = None,
    optimistic: bool = False,
    no_spill: bool = False,
    cpus: int | None = None,
    planner: str = "cpsat",
    signature: str | None = None,
    pick: int | None = None,
    limits: Limits | None = None,
    tell: Tell = quiet,
    observe: Observer | None = None,
    **constraints: Any,
) -> Answer | SolvedPool:
    """Return the best plan for a model on some devices, or for several on a pool, as `segsolve solve` does.

    `model` is a quantised `.tflite`, a profile or a graph (`.json`); `device` a name of the catalogue, a description
    (`.toml`) or a profile. `constraints` are the command line's, by the names of the options: `max_latency="20ms"`,
    `min_fps=30`, `max_stages=3`, `cut_before=[12]`, `no_cut_before=["conv5"]`, `keep_together=[(12, 15)]`,
    `pin=[(12, 0)]`, with operations by position or name. `pick` takes a point of a Pareto front as the
    plan. `tell` hears what is unusual about the model, `observe` how the search goes on.

    In place of `tpus` and `device`, `pool` is what ``--pool`` takes (``"edgetpu-m2:2,edgetpu-usb:1"``), for a `.tflite`
    or several, with `rates` (inferences per second) or `weights` (whole numbers, their proportion) by model, the name
    of its file without the ending; constraints are of all models, or texts that begin with a model's name
    (``max_latency="detector=20ms"``). `host_of` is a device whose description is right about the host. The answer is
    then a `SolvedPool`, but of a model alone on devices that are all alike, which is the question without a pool.

    Raises:
        UsageError, ModelError, DeviceError: an argument, the model or the device is at fault.
        SolverFault: a solver contradicted a known fact.
    """
    from segsolve.solvers.base import Limits as Unlimited
    from segsolve.solvers.base import ignore

    models, watch = _paths(model), observe or ignore
    is_alone = len(models) == 1 and not (rates or weights or host_of or sharing)
    named = names_one(models, tpu_memory, constraints)
    pool, tpus, device = without_pool(pool, tpus, device, is_alone=is_alone, named=named)
    if pool is not None or len(models) != 1 or rates or weights:
        pool = pool_or_error(pool, models, rates)
        refuse_in_questions(
            tpus=tpus,
            device=None if device == DEFAULT_DEVICE else device,
            layout=layout,
            cuts=None if cuts == Cuts.AUTO else cuts,
            batch=batch,
            cpus=cpus,
            planner=None if planner == "cpsat" else planner,
            signature=signature,
            pick=pick,
        )
        return solve_pool(
            models,
            pool=pool,
            rates=rates,
            weights=weights,
            objective=objective,
            sharing=sharing or "auto",
            tpu_memory=tpu_memory,
            host_cores=host_cores,
            host_of=host_of,
            optimistic=optimistic,
            no_spill=no_spill,
            limits=limits,
            observe=watch,
            tell=tell,
            **constraints,
        )
    refuse_without_pool(host_of=host_of, sharing=sharing)
    path = models[0]
    asking = Asking(
        objective=_word("objective", objective, Objective),
        layout=None if layout is None else _word("layout", layout, Layout),
        cuts=_word("cuts", cuts, Cuts),
        batch=batch,
        constraints=constraints,
    )
    limits = limits or Unlimited()
    if is_graph(path, cpus):
        asking.check(planner)
        asking.check_graph(device, planner)
        refuse_changes(host_cores, optimistic=optimistic)
        solved = solve_graph(path, tpus, cpus, tpu_memory, no_spill=no_spill, limits=limits, observe=watch)
        return Answer(found=solved.answer, problem=solved.problem, device=solved.device, costs=solved.costs)
    changes = changes_of(tpu_memory, host_cores, optimistic=optimistic)
    posed = pose(
        path,
        asking,
        tpus=tpus,
        device=device,
        changes=changes,
        no_spill=no_spill,
        planner=planner,
        signature=signature,
        tell=tell,
    )
    return posed.solve(limits, watch, pick)


@dataclass(frozen=True, kw_only=True)
class Posed:
    """A question about a model on some devices, ready to be solved.

    `model` is None where the file of `costs` stands for it.
    """

    problem: Problem
    question: Question
    planner: str
    device: DeviceFacts
    model: LoadedModel | None
    costs: CostsFile | None

    def solve(self, limits: Limits, observe: Observer, pick: int | None = None) -> Answer:
        """Return the answer; `pick` takes a point of a Pareto front as the plan.

        Raises:
            UsageError: the front has no such point.
            SolverFault: a solver contradicted a known fact.
        """
        from segsolve.search.ask import answer
        from segsolve.search.front import picked

        found = answer(self.problem, self.question, planner=self.planner, limits=limits, observe=observe)
        if pick is not None and found.plan is not None:
            found = picked(found, pick)
        return Answer(found=found, problem=self.problem, device=self.device, model=self.model, costs=self.costs)


def pose(
    model: Path,
    asking: Asking,
    *,
    tpus: int | None,
    device: str,
    changes: Changes,
    no_spill: bool,
    planner: str,
    signature: str | None,
    tell: Tell,
) -> Posed:
    """Read a model or a profile, and return what is asked about it.

    Raises:
        UsageError, ModelError, DeviceError: an argument, the model or the device is at fault.
    """
    from segsolve.plan.folder import CostsFile

    asking.check(planner)
    loaded, costs = load_model_or_profile(model, device, changes, signature, tell)
    problem = costs.problem(tpus=tpus_or(tpus, device_count(costs)), no_spill=no_spill)
    question = asking.question(problem, planner, keeps_state=keeps_state(loaded))
    return Posed(
        problem=problem,
        question=question,
        planner=planner,
        device=costs.device,
        model=loaded,
        costs=None if loaded else CostsFile.read(model, ((op.name,) for op in problem.ops)),
    )


def compare(
    model: str | Path | Sequence[str | Path],
    *,
    tpus: int | str | Sequence[int] | None = None,
    device: str = DEFAULT_DEVICE,
    pool: str | None = None,
    rates: Mapping[str, float | str] | None = None,
    weights: Mapping[str, int] | None = None,
    host_of: str | None = None,
    tpu_memory: str | None = None,
    host_cores: int | None = None,
    optimistic: bool = False,
    no_spill: bool = False,
    batch: int = 15,
    limits: Limits | None = None,
    tell: Tell = quiet,
    **constraints: Any,
) -> Rows:
    """Return a row per number of TPUs and strategy, and per layout, as `segsolve compare --csv` does; times in ns.

    `tpus` is a number, some, or a text such as ``2..8``.
    With a `pool` it is a row per way to use it, as `segsolve compare --pool --json` has them; `rates`, `weights`,
    `host_of` and `constraints` are those of `solve`, and of pools alone.

    Raises:
        UsageError, ModelError, DeviceError: an argument, the model or the device is at fault.
        SolverFault: a solver contradicted a known fact.
    """
    from segsolve.comparison import side_by_side
    from segsolve.report.layouts import rows_with_layouts

    models = _paths(model)
    if pool is not None or len(models) != 1 or rates or weights:
        pool = pool_or_error(pool, models, rates)
        refuse_in_questions(tpus=tpus, device=None if device == DEFAULT_DEVICE else device)
        solved = solve_pool(
            models,
            pool=pool,
            rates=rates,
            weights=weights,
            tpu_memory=tpu_memory,
            host_cores=host_cores,
            host_of=host_of,
            optimistic=optimistic,
            no_spill=no_spill,
            limits=limits,
            tell=tell,
            **constraints,
        )
        return compared(solved)
    refuse_without_pool(host_of=host_of)
    refuse_constraints(constraints, "segsolve.solve takes it for one model; strategies know none")
    if isinstance(tpus, str):
        tpus = parse_counts("tpus", tpus)
    if tpus is not None and not isinstance(tpus, int) and not tpus:
        raise UsageError("tpus is empty", "give a number, or a list of them")
    counts = [tpus] if isinstance(tpus, int) else list(tpus or ())
    for count in counts:
        whole("--tpus", count, 1, MOST_TPUS)
    whole("--batch", batch, 1)
    changes = changes_of(tpu_memory, host_cores, optimistic=optimistic)
    loaded, costs = load_model_or_profile(models[0], device, changes, tell=tell)
    counts = counts or [tpus_or(None, device_count(costs))]
    problems = [costs.problem(tpus=count, no_spill=no_spill) for count in counts]
    found = list(side_by_side(problems, keeps_state=keeps_state(loaded), limits=limits))
    if len(found) < len(problems):
        raise KeyboardInterrupt  # some rows are no answer
    return Rows(
        rows_with_layouts([each for each, _ in found], [beside for _, beside in found], batch, costs.device.ranges)
    )


def compared(solved: SolvedPool) -> Rows:
    """Return a row per way to use a pool, with the best plan among them."""
    from segsolve.pool.simple import ways_beside
    from segsolve.report.pool.ways import way_rows

    return Rows(way_rows(ways_beside(solved.found)))


def _paths(models: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(model) for model in ([models] if isinstance(models, str | Path) else models)]


def _word(name: str, text: str, kind: type[_Word]) -> _Word:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r}", f"known: {', '.join(kind)}") from None
