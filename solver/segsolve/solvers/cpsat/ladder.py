"""Variables, constraints and objective of the ladder model, one builder each.

`reached(g, k)` says that group g is in stage k or before; for each group these literals are a ladder, false below and
true above. A group is in stage k if it is reached at k and not at k - 1. Along every edge the reader is reached no
earlier than the maker. All costs follow from these literals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ortools.sat.python import cp_model

from segsolve.solvers.ladder.bounds import Windows
from segsolve.solvers.ladder.dag import Dag, Tensor
from segsolve.solvers.ladder.intervals import Part

Literal = Any  # OR-Tools' BoolVarT, or a bool where the windows decide


@dataclass
class Load:
    """A sum: a constant, and coefficients of variables by their index."""

    constant: int = 0
    terms: dict[int, tuple[Literal, int]] = field(default_factory=dict)

    def add(self, literal: Literal, coefficient: int) -> None:
        """Add a multiple of a literal."""
        if isinstance(literal, bool):
            self.constant += coefficient * literal
        elif coefficient:
            known = self.terms.get(literal.index, (literal, 0))[1]
            self.terms[literal.index] = (literal, known + coefficient)

    def expression(self) -> Any:
        """Return the sum for the program."""
        used = [(literal, c) for literal, c in self.terms.values() if c]
        return cp_model.LinearExpr.weighted_sum([v for v, _ in used], [c for _, c in used]) + self.constant

    @property
    def largest(self) -> int:
        """What the sum can be at most."""
        return self.constant + sum(c for _, c in self.terms.values() if c > 0)


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """The program and its variables; `on_cpu[k]` says that a core runs stage k, `ladder[g][k]` that g is reached."""

    program: cp_model.CpModel
    dag: Dag
    windows: Windows
    ladder: Sequence[dict[int, Literal]]
    on_cpu: Sequence[Literal]

    def reached(self, group: int, stage: int) -> Literal:
        """Return the literal that a group is in a stage or before; a bool where its window decides."""
        if stage < self.windows.earliest[group]:
            return False
        return True if stage >= self.windows.latest[group] else self.ladder[group][stage]

    def may_be_in(self, group: int, stage: int) -> bool:
        """Whether a group's window has a stage."""
        return self.windows.earliest[group] <= stage <= self.windows.latest[group]

    def add_if_in(self, load: Load, group: int, stage: int, amount: int) -> None:
        """Add an amount to a sum if the group is in the stage."""
        load.add(self.reached(group, stage), amount)
        load.add(self.reached(group, stage - 1), -amount)

    def clause(self, literals: Iterable[Literal]) -> None:
        """Demand one of the literals; bools among them are decided here."""
        kept = []
        for literal in literals:
            if literal is True:
                return
            if literal is not False:
                kept.append(literal)
        self.program.add_bool_or(kept)

    @property
    def stages(self) -> range:
        """The stages, accelerators and cores."""
        return range(self.windows.stages)


def negated(literal: Literal) -> Literal:
    """Return the opposite of a literal or bool."""
    return (not literal) if isinstance(literal, bool) else literal.negated()


def build(dag: Dag, windows: Windows, tpus: int) -> Ladder:
    """Return the program of all assignments within the windows, without costs."""
    program = cp_model.CpModel()
    ladder = [
        {k: program.new_bool_var(f"reached_{g}_{k}") for k in range(windows.earliest[g], windows.latest[g])}
        for g in range(len(dag))
    ]
    on_cpu = _cores(program, windows.stages, windows.stages - tpus)
    model = Ladder(program=program, dag=dag, windows=windows, ladder=ladder, on_cpu=on_cpu)
    stages_ascend(model)
    edges_run_forward(model)
    if windows.stages > tpus or not all(dag.accelerated):
        processors_can_run_their_groups(model)
    return model


def _cores(program: cp_model.CpModel, stages: int, cores: int) -> list[Literal]:
    """Exactly so many stages are cores: with fewer, there would be more accelerators than there are."""
    if not cores:
        return [False] * stages
    literals = [program.new_bool_var(f"on_cpu_{k}") for k in range(stages)]
    program.add(cp_model.LinearExpr.sum(literals) == cores)
    return literals


def stages_ascend(model: Ladder) -> None:
    """What is reached stays reached."""
    for steps in model.ladder:
        for k in steps:
            if k + 1 in steps:
                model.program.add_implication(steps[k], steps[k + 1])


def edges_run_forward(model: Ladder) -> None:
    """A reader is reached no earlier than the maker."""
    for maker, reader in model.dag.reduced_edges:
        for k in model.stages:
            model.clause([negated(model.reached(reader, k)), model.reached(maker, k)])


def processors_can_run_their_groups(model: Ladder) -> None:
    """A group that a core or an accelerator cannot run is in none of that kind."""
    for g in range(len(model.dag)):
        for k in model.stages:
            outside = [negated(model.reached(g, k)), model.reached(g, k - 1)]
            if model.dag.cpu_ns[g] is None:
                model.clause([*outside, negated(model.on_cpu[k])])
            if not model.dag.accelerated[g]:
                model.clause([*outside, model.on_cpu[k]])


def accelerator_loads(model: Ladder) -> list[Load]:
    """Return what each stage costs on an accelerator with all its weights on chip."""
    loads = [Load() for _ in model.stages]
    overheads(model, loads)
    computation(model, loads)
    for number, tensor in enumerate(model.dag.tensors):
        if tensor.out_ns:
            tensor_out(model, tensor, number, loads)
        if tensor.in_ns:
            tensor_in(model, tensor, number, loads)
    return loads


def overheads(model: Ladder, loads: list[Load]) -> None:
    """Every used stage pays its overhead.

    Charging empty stages too changes nothing where some stage must pay it: without cores, which pay none, and without
    measured stages, which may take less.
    """
    overhead = model.dag.problem.overhead_ns
    if not overhead:
        return
    for k, load in enumerate(loads):
        used: Literal = True
        if model.dag.problem.cpus or model.dag.problem.measured:
            used = model.program.new_bool_var(f"used_{k}")
            for g in range(len(model.dag)):
                model.clause([used, negated(model.reached(g, k)), model.reached(g, k - 1)])
        load.add(used, overhead)


def computation(model: Ladder, loads: list[Load]) -> None:
    """A stage computes all its groups."""
    for g, compute in enumerate(model.dag.compute_ns):
        for k in model.stages:
            if model.may_be_in(g, k):
                model.add_if_in(loads[k], g, k, compute)


def tensor_out(model: Ladder, tensor: Tensor, number: int, loads: list[Load]) -> None:
    """The stage of the maker pays once if some reader is in a later one; only the last readers matter."""
    for k in model.stages:
        if not model.may_be_in(tensor.producer, k):
            continue
        here = [negated(model.reached(tensor.producer, k)), model.reached(tensor.producer, k - 1)]
        paid = model.program.new_bool_var(f"out_{number}_{k}")
        for reader in _last(model.dag, tensor.consumers):
            model.clause([paid, *here, model.reached(reader, k)])
        loads[k].add(paid, tensor.out_ns)


def tensor_in(model: Ladder, tensor: Tensor, number: int, loads: list[Load]) -> None:
    """Every stage with a reader pays once if the maker is in an earlier one."""
    for k in model.stages:
        readers = [c for c in tensor.consumers if model.may_be_in(c, k)]
        made_before = model.reached(tensor.producer, k - 1) if tensor.producer >= 0 else True
        if not readers or made_before is False:
            continue
        paid = model.program.new_bool_var(f"in_{number}_{k}")
        for reader in readers:
            outside = [negated(model.reached(reader, k)), model.reached(reader, k - 1)]
            model.clause([paid, negated(made_before), *outside])
        loads[k].add(paid, tensor.in_ns)


def cpu_loads(model: Ladder) -> list[Load]:
    """Return what each stage costs on a core: its groups' times, nothing else."""
    loads = [Load() for _ in model.stages]
    for g, time in enumerate(model.dag.cpu_ns):
        for k in model.stages:
            if time and model.may_be_in(g, k):
                model.add_if_in(loads[k], g, k, time)
    return loads


def minimise_bottleneck(
    model: Ladder,
    accelerators: Sequence[Load],
    cores: Sequence[Load],
    lower_bound_ns: int,
    upper_bound_ns: int,
    measured: Sequence[Sequence[tuple[Literal, int]]] = (),
) -> cp_model.IntVar:
    """Minimise the largest load, which lies between the bounds; a stage has the load of what runs it.

    `measured[k]` are literals that stage k was measured as a whole, each with the time that replaces its load.
    """
    bottleneck = model.program.new_int_var(lower_bound_ns, upper_bound_ns, "bottleneck")
    for k in model.stages:
        known = measured[k] if measured else ()
        modelled = [literal.negated() for literal, _ in known]
        if not isinstance(model.on_cpu[k], bool):
            modelled.append(model.on_cpu[k].negated())
            model.program.add(cores[k].expression() <= bottleneck).only_enforce_if(model.on_cpu[k])
        constraint = model.program.add(accelerators[k].expression() <= bottleneck)
        if modelled:
            constraint.only_enforce_if(modelled)
        for literal, time_ns in known:
            on_accelerator = [literal] if isinstance(model.on_cpu[k], bool) else [literal, model.on_cpu[k].negated()]
            model.program.add(bottleneck >= time_ns).only_enforce_if(on_accelerator)
    model.program.minimize(bottleneck)
    return bottleneck


def hint_parts(model: Ladder, parts: Sequence[Part]) -> None:
    """Suggest a plan to begin with; processors that it leaves idle are the last stages."""
    on_cpu = [part.on_cpu for part in parts]
    on_cpu += [True] * (model.dag.problem.cpus - sum(on_cpu))
    on_cpu += [False] * (model.windows.stages - len(on_cpu))
    stage_of = {g: k for k, part in enumerate(parts) for g in part.groups}
    for g, steps in enumerate(model.ladder):
        for k, literal in steps.items():
            model.program.add_hint(literal, stage_of[g] <= k)
    for literal, core in zip(model.on_cpu, on_cpu, strict=True):
        if not isinstance(literal, bool):
            model.program.add_hint(literal, core)


def parts_of(model: Ladder, values: Sequence[int]) -> tuple[Part, ...]:
    """Return the used stages of a solution, given the values of `decisions`."""
    value = iter(values)
    stage_of = [model.windows.latest[g] - sum(next(value) for _ in steps) for g, steps in enumerate(model.ladder)]
    on_cpu = [False if isinstance(literal, bool) else bool(next(value)) for literal in model.on_cpu]
    members: dict[int, list[int]] = {}
    for g, k in enumerate(stage_of):
        members.setdefault(k, []).append(g)
    return tuple(Part(groups=tuple(groups), on_cpu=on_cpu[k]) for k, groups in sorted(members.items()))


def decisions(model: Ladder) -> list[Literal]:
    """Return the variables that a solution is read from."""
    ladder = [literal for steps in model.ladder for literal in steps.values()]
    return ladder + [literal for literal in model.on_cpu if not isinstance(literal, bool)]


def _last(dag: Dag, groups: tuple[int, ...]) -> list[int]:
    """Return the groups that none of the others depends on; in the last stage of any is one of them."""
    chosen = set(groups)
    return [g for g in groups if not any(dag.descendants[g] >> other & 1 for other in chosen if other != g)]
