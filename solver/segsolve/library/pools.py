"""Rates, weights and constraints of models as people name them, and `solve` for pools."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from html import escape
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from segsolve.errors import ModelError, UsageError
from segsolve.library.answer import Known, html_table
from segsolve.library.costs import Tell, peculiarities, placement_notes, quiet
from segsolve.library.named_pools import NamedPool, parse_pool, with_links
from segsolve.values import MOST_WEIGHT, parse_pairs, whole

if TYPE_CHECKING:
    from segsolve.graph.read import LoadedModel
    from segsolve.pool.answer import PoolAnswer
    from segsolve.pool.model import Pin, PoolProblem, Workload
    from segsolve.pool.plan import PoolPlan
    from segsolve.problem import Problem
    from segsolve.question.constraint import Option
    from segsolve.solvers.base import Limits, Observer
    from segsolve_runtime.contract.pool import PoolFolder

_RATE = re.compile(r"[+-]?[0-9.]{1,30}(?:[eE][+-]?[0-9]{1,3}|/[0-9]{1,30})?")  # of more digits nobody knows the end


@dataclass(frozen=True, kw_only=True)
class SolvedPool(Known):
    """An answer with the models that it is about, ready to be shown, written and built."""

    found: PoolAnswer
    problem: PoolProblem
    models: tuple[LoadedModel, ...] = field(repr=False)
    memory_bytes: tuple[int, ...]
    """The on-chip memory of each kind."""
    named: NamedPool

    @property
    def plan(self) -> PoolPlan | None:
        """The pipelines of all models, and who lives on each device; None if there is no plan."""
        return self.found.plan

    @property
    def period_ns(self) -> int | None:
        """Predicted time in ns in which every model does its weight of inferences."""
        return self.found.score.period_ns if self.found.score else None

    @property
    def rates_fps(self) -> dict[str, float]:
        """Predicted inferences per second of each model, rounded down; none without a plan."""
        from segsolve.cost.plan import rounded_down

        score, demands = self.found.score, self.problem.workload.demands
        return {demand.model: rounded_down(score.rate_fps(m)) for m, demand in enumerate(demands)} if score else {}

    @property
    def latencies_ns(self) -> dict[str, int]:
        """Predicted worst latency of each model, in ns; none without a plan."""
        score, demands = self.found.score, self.problem.workload.demands
        return {demand.model: score.latency_ns(m) for m, demand in enumerate(demands)} if score else {}

    @property
    def objective_ns(self) -> int | None:
        """The value of the objective in ns: the period, or the largest of the worst latencies."""
        from segsolve.pool.folder import up

        return None if self.found.value is None else up(self.found.value)

    @property
    def bound_ns(self) -> int:
        """No plan that the question allows has a smaller `objective_ns`."""
        from segsolve.pool.folder import up

        return up(self.found.bound)

    def write(self, folder: str | Path) -> PoolFolder:
        """Write the plans of the models, the file that ties them, and the certificate, as `-o` does.

        Raises:
            OutputError: the folder cannot be written.
            UsageError: the answer has no plan.
        """
        from segsolve.pool.folder import Described, write_pool

        if self.plan is None:
            raise UsageError("the answer has no plan to write segments of", "solve models that have a plan")
        described = Described(
            devices=self.named.devices,
            memory_bytes=self.memory_bytes,
            optimistic=[known.optimistic for known in self.named.changes],
            host_of=self.named.host_of,
        )
        return write_pool(Path(folder), self.found, self.models, described)

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `segsolve solve --pool --json` prints."""
        from segsolve.report.pool.answer import pool_document

        return pool_document(self.found)

    def __repr__(self) -> str:
        """Return a line, as an answer holds all costs of all operations."""
        of = "" if self.objective_ns is None else f", {self.found.unit} {self.objective_ns / 1e6:.2f} ms"
        models = ", ".join(demand.model for demand in self.problem.workload.demands)
        return f"<SolvedPool {self.found.status}: {models} on {self.problem.pool.notation}{of} (predicted)>"

    def _repr_html_(self) -> str:
        from segsolve.report.pool.answer import model_rows, resident_rows

        head = f"<p>{escape(repr(self)[1:-1].partition(' ')[2])}</p>"
        return f"{head}{html_table(model_rows(self.found))}{html_table(resident_rows(self.found))}"


def solve_pool(
    models: str | Path | Sequence[str | Path],
    *,
    pool: str,
    rates: Mapping[str, float | str] | None = None,
    weights: Mapping[str, int] | None = None,
    objective: str = "throughput",
    sharing: str = "auto",
    tpu_memory: str | None = None,
    host_cores: int | None = None,
    host_of: str | None = None,
    optimistic: bool = False,
    no_spill: bool = False,
    limits: Limits | None = None,
    observe: Observer | None = None,
    tell: Tell = quiet,
    **constraints: Any,
) -> SolvedPool:
    """Return the best plan for models on a pool: what `segsolve.solve` does with several, and on unequal TPUs.

    `models` are files, or one. `host_of` is a device whose description is right about the host, where those of the
    kinds are of different ones.
    `rates` (inferences per second) or `weights` (whole numbers: the proportion of the rates) are by model, the name of
    its file without the ending. `constraints` are those of `segsolve.solve` (``max_latency="20ms"``), of all models, or
    as texts that begin with a model's name (``max_latency="detector=20ms"``, ``cut_before=["detector=12"]``).

    Raises:
        UsageError, ModelError, DeviceError: an argument, a model or a device is at fault.
        SolverFault: a solver contradicted a known fact.
    """
    named = parse_pool(pool).changed(tpu_memory, host_cores, host_of, optimistic=optimistic)
    posed = pose_pool(
        [Path(model) for model in ([models] if isinstance(models, str | Path) else models)],
        named,
        rates=fractions_of(rates),
        weights=weights or {},
        objective=objective,
        sharing=sharing,
        no_spill=no_spill,
        constraints=constraints,
        tell=tell,
    )
    return posed.solve(limits, observe)


@dataclass(frozen=True, kw_only=True)
class PosedPool:
    """A question about a pool, with the models that it is about and the on-chip memory of each kind."""

    problem: PoolProblem
    models: tuple[LoadedModel, ...] = field(repr=False)
    memory_bytes: tuple[int, ...]
    named: NamedPool

    def solve(self, limits: Limits | None = None, observe: Observer | None = None) -> SolvedPool:
        """Return the answer (SolverFault if a solver contradicted a known fact)."""
        from segsolve.pool.solve import solve_pool as solve
        from segsolve.solvers.base import ignore

        found = solve(self.problem, limits=limits, observe=observe or ignore)
        return SolvedPool(
            found=found, problem=self.problem, models=self.models, memory_bytes=self.memory_bytes, named=self.named
        )


def pose_pool(
    models: Sequence[Path],
    named: NamedPool,
    *,
    rates: Mapping[str, Fraction],
    weights: Mapping[str, int],
    objective: str = "throughput",
    sharing: str = "auto",
    no_spill: bool = False,
    constraints: Mapping[str, Any] = MappingProxyType({}),
    tell: Tell = quiet,
) -> PosedPool:
    """Read models and devices and return the question.

    Raises:
        UsageError, ModelError, DeviceError: an argument, a model or a device is at fault.
    """
    from segsolve.graph.read import read_model
    from segsolve.pool.model import PoolProblem
    from segsolve.question.given import found, parsed

    names = model_names(models)
    workload, asked = asked_of(names, constraints, rates, weights, objective, sharing, tell)
    makers = named.costs()
    loaded, rows, memory, demands = [], [], [0] * len(makers), []
    for path, demand in zip(models, workload.demands, strict=True):
        model = read_model(path)
        if model.graph.state is not None:
            raise ModelError(
                f"{path} keeps {model.graph.state} from one inference to the next", "pools serve models without a state"
            )
        sources = [maker(model.graph) for maker in makers]
        for note in (*placement_notes(sources[0]), *peculiarities(model.graph)):
            tell(f"{path.stem}: {note}")
        problems = [
            source.problem(tpus=kind.count, no_spill=no_spill)
            for source, kind in zip(sources, named.pool.kinds, strict=True)
        ]
        common = tuple(sorted(set(problems[0].cuts).intersection(*(p.cuts for p in problems))))
        pins = _pins(asked[demand.model].pop("pin", ()), demand.model, problems[0], named)
        kept = found(parsed(asked[demand.model]), replace(problems[0], cuts=common))
        kept.check(replace(problems[0], cuts=common, tpus=len(named.pool.devices)))
        demands.append(replace(demand, kept=kept, pins=pins))
        rows.append(tuple(kept.restricted(replace(p, cuts=common, link=None)) for p in problems))
        memory = [source.device.memory_bytes for source in sources]
        loaded.append(model)
    if any("+" in device for device in named.devices):  # of which profiles, and the device for others, say two memories
        least = [min(p.capacity_bytes for p in column) for column in zip(*rows, strict=True)]
        rows = [tuple(replace(p, capacity_bytes=n) for p, n in zip(row, least, strict=True)) for row in rows]
    pool, workload = with_links(named, loaded), replace(workload, demands=tuple(demands))
    problem = PoolProblem(pool=pool, workload=workload, costs=tuple(rows))
    return PosedPool(problem=problem, models=tuple(loaded), memory_bytes=tuple(memory), named=named)


def asked_of(
    names: Sequence[str],
    constraints: Mapping[str, Any],
    rates: Mapping[str, Fraction],
    weights: Mapping[str, int],
    objective: str,
    sharing: str,
    tell: Tell = quiet,
) -> tuple[Workload, dict[str, dict[str, Any]]]:
    """Return the workload of models of these names, without constraints, and the constraints of each by argument.

    Raises:
        UsageError: it makes no sense.
    """
    asked, rates = constraints_by_model(names, constraints, rates)
    rates = _all_rates(names, rates, objective, tell)
    return _workload(names, rates, weights, objective, sharing), asked


def fractions_of(rates: Mapping[str, float | str] | None) -> dict[str, Fraction]:
    """Return rates as fractions (UsageError if one makes no sense)."""
    return {name: _rate(name, rate) for name, rate in (rates or {}).items()}


def model_names(models: Sequence[Path]) -> tuple[str, ...]:
    """Return the names by which rates, inputs and metrics know models: their files', without the ending.

    Raises:
        UsageError: two have the same name.
    """
    names = tuple(path.stem for path in models)
    if not names:
        raise UsageError("no model is named", "name one at least")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"two models are called {twice[0]!r}", "copy one of the files under another name")
    return names


def constraints_by_model(
    names: Sequence[str], given: Mapping[str, Any], rates: Mapping[str, Fraction]
) -> tuple[dict[str, dict[str, Any]], dict[str, Fraction]]:
    """Return what is asked of each model, by argument, and the rates; `given` begins with MODEL= where it is for one.

    The fewest inferences per second are a rate.

    Raises:
        UsageError: it is not said of which model, or a constraint is none of pools.
    """
    from segsolve.question.constraints import KINDS

    kinds = {kind.option.argument: kind for kind in KINDS.values()}
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    wanted = dict(rates)
    for argument, value in given.items():
        if value in (None, [], ()):
            continue
        if argument == "min_fps":
            if len(names) > 1 or rates:
                raise UsageError("--min-fps is of one model", "write --rate MODEL=PER_SECOND for each")
            wanted[names[0]] = _rate(names[0], value)
            continue
        kind = kinds.get(argument)
        if kind is None:
            raise UsageError(f"there is no constraint {argument!r}", f"known: {', '.join(kinds)}")
        for name, own in _by_model(names, kind.option, value, names_operations=kind.names_operations).items():
            found[name][argument] = own
    return found, wanted


def _by_model(names: Sequence[str], option: Option, value: Any, *, names_operations: bool) -> dict[str, Any]:
    """Return an option's value by model; of one that is not said, all models have it."""
    if option.is_repeatable:
        found: dict[str, Any] = {}
        for text in value:
            name = max((name for name in names if str(text).startswith(f"{name}=")), key=len, default=None)
            own = text if name is None else str(text).removeprefix(f"{name}=")
            if name is None or not own:
                name, own = names[0], text
                if names_operations and len(names) > 1:
                    raise UsageError(
                        f"{option.flag} {text}: it is not said of which model", f"write {option.flag} {names[0]}={text}"
                    )
            found.setdefault(name, []).append(own)
        return found
    parts = parse_pairs(str(value))
    if not parts:
        return dict.fromkeys(names, value)
    if odd := [name for name, own in parts if name not in names or not own]:
        raise UsageError(f"{option.flag} is {value!r}: {odd[0]!r} is no model here", f"known: {', '.join(names)}")
    try:
        return {name: option.type(own) for name, own in parts}
    except ValueError:
        raise UsageError(f"{option.flag} is {value!r}", f"write {option.flag} {names[0]}=NUMBER") from None


def _pins(texts: Sequence[str], model: str, problem: Problem, named: NamedPool) -> tuple[Pin, ...]:
    """Return where operations of a model are to run: ``OP=KIND``, or ``KIND`` of all of them.

    Raises:
        UsageError: an operation or a kind is not there, or an operation is to run on two kinds.
    """
    from segsolve.pool.model import Pin
    from segsolve.question.operations import operation

    kinds, found = [kind.name for kind in named.pool.kinds], set()
    for text in texts:
        name, mark, kind = str(text).rpartition("=")
        if kind.strip() not in kinds:
            form = "write OP=KIND, or KIND for all of a model: a stage of a pool has no number"
            raise UsageError(f"--pin {text}: {kind!r} is no kind of the pool", f"{form}; known: {', '.join(kinds)}")
        first = operation(problem, name) if mark else 0
        found.add(Pin(first=first, last=first if mark else len(problem.ops) - 1, kind=kind.strip()))
    pins = sorted(found, key=lambda pin: (pin.first, pin.last, pin.kind))
    for pin, other in combinations(pins, 2):
        if pin.kind != other.kind and other.first <= pin.last:
            words = f"operation {other.first} of {model} on {pin.kind} and on {other.kind}"
            raise UsageError(f"--pin asks for {words}", "give one of the two")
    return tuple(pins)


def _all_rates(names: Sequence[str], rates: Mapping[str, Fraction], objective: str, tell: Tell) -> dict[str, Fraction]:
    """Return the rates; where the least latency is asked for, models of which none was said have one per second."""
    missing = [name for name in names if name not in rates]
    if not rates or not missing or objective != "latency" or set(rates) - set(names):
        return dict(rates)
    tell(f"no rate was said of {', '.join(missing)}: 1 inference per second is kept")
    return {name: rates.get(name, Fraction(1)) for name in names}


def parse_rates(texts: Sequence[str]) -> dict[str, Fraction]:
    """Return the inferences per second of ``NAME=RATE``, repeated.

    Raises:
        UsageError: a text is not of this form.
    """
    found: dict[str, Fraction] = {}
    for text in texts:
        name, mark, rate = text.rpartition("=")
        if not mark or not name.strip():
            raise UsageError(f"--rate is {text!r}", "write a model and its inferences per second, e.g. detector=30")
        if name.strip() in found:
            raise UsageError(f"--rate names {name.strip()!r} twice", "give each model one rate")
        found[name.strip()] = _rate(name.strip(), rate)
    return found


def parse_weights(text: str | None) -> dict[str, int]:
    """Return the whole numbers of ``a=3,b=1``.

    Raises:
        UsageError: the text is not of this form.
    """
    found: dict[str, int] = {}
    form = f"write models and whole numbers from 1 to {MOST_WEIGHT}, e.g. a=3,b=1"
    parts = parse_pairs(text or "")
    if text and not parts:
        raise UsageError(f"--weights is {text!r}", form)
    for name, weight in parts:
        if not re.fullmatch(r"\d{1,5}", weight, re.ASCII) or not 1 <= int(weight) <= MOST_WEIGHT:
            raise UsageError(f"--weights is {text!r}", form)
        if name in found:
            raise UsageError(f"--weights names {name!r} twice", "give each model one weight")
        found[name] = int(weight)
    return found


def _rate(name: str, rate: float | str) -> Fraction:
    text = str(rate).strip()
    try:
        found = Fraction(text if _RATE.fullmatch(text) else "")
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"the rate of {name} is {rate!r}", "write a number of inferences per second") from None
    if not Fraction(1, 1000) <= found <= 10**6:
        raise UsageError(f"the rate of {name} is {rate}", "give one from 0.001 to a million per second")
    return found.limit_denominator(1000)


def _workload(
    names: Sequence[str], rates: Mapping[str, Fraction], weights: Mapping[str, int], objective: str, sharing: str
) -> Workload:
    from segsolve.pool.model import Demand, Goal, Sharing, Workload, weights_of

    if rates and weights:
        raise UsageError("--rate and --weights exclude each other", "rates are asked for, weights are a proportion")
    given: Mapping[str, object] = rates or weights
    option = "--rate" if rates else "--weights"
    if unknown := sorted(set(given) - set(names)):
        raise UsageError(f"{option} names {unknown[0]!r}, which is no model here", f"known: {', '.join(names)}")
    if given and (missing := [name for name in names if name not in given]):
        raise UsageError(f"{option} says nothing of {missing[0]}", "name every model")
    if objective not in tuple(Goal):
        raise UsageError(f"a pool is not solved for {objective}", f"known: {', '.join(Goal)}")
    if sharing not in tuple(Sharing):
        raise UsageError(f"--sharing is {sharing!r}", f"known: {', '.join(Sharing)}")
    if objective == Goal.LATENCY and not rates:
        raise UsageError("the least latency of a pool is that at some rates", "name them: --rate MODEL=PER_SECOND")
    for name, weight in weights.items():
        whole(f"the weight of {name}", weight, 1, MOST_WEIGHT)
    found, scale = weights_of(dict(rates)) if rates else (dict(weights) or dict.fromkeys(names, 1), None)
    demands = tuple(Demand(model=name, weight=found[name]) for name in names)
    return Workload(demands=demands, scale_fps=scale, goal=Goal(objective), sharing=Sharing(sharing))
