"""``segsolve build``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segsolve.cli.console import news, progress, show, show_json, show_text
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json, TimeLimit
from segsolve.cli.pool import build_pool
from segsolve.cli.written import write_and_verify
from segsolve.errors import DeviceError, ExitCode, UsageError
from segsolve.library.answer import Answer
from segsolve.question import Cuts, Layout, Objective, Question
from segsolve.values import within

if TYPE_CHECKING:
    from segsolve.compiler.build import CompiledStages
    from segsolve.compiler.refine import Refinement, Solve
    from segsolve.compiler.run import Compiler
    from segsolve.graph.read import LoadedModel
    from segsolve.problem import Problem
    from segsolve.profile.source import CostSource
    from segsolve.search.answer import Answer as Found
    from segsolve.solvers.base import Limits
    from segsolve_runtime.contract.plan import Plan, PlanFolder

_DEFAULT_TIMEOUT_S = 600.0
_LONGEST_S = 86_400.0


@guarded
def command(
    plans: Annotated[
        list[Path],
        typer.Argument(
            metavar="PLAN/...",
            help="Folder that `segsolve solve -o` wrote; several with --compile, also models and segments "
            "with --co-compile.",
        ),
    ],
    compile_segments: Annotated[
        bool, typer.Option("--compile", help="Compile the segments with the vendor's edgetpu_compiler.")
    ] = False,
    co_compile: Annotated[
        bool,
        typer.Option(
            "--co-compile",
            help="Compile all that is named for one device, in one go: they share its memory in this order.",
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder for what --co-compile makes.")] = None,
    check_coral: Annotated[
        bool, typer.Option("--check-coral", help="Say what keeps the plan from the vendor's PipelinedModelRunner.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option(help="The plan's model, to solve again; found by itself beside the plan or here.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Description or profile of the device if it is not in the catalogue.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Segments compiled at a time; one per processor core.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that a compilation may take.")] = _DEFAULT_TIMEOUT_S,
    compiler: Annotated[Path | None, typer.Option(help="The compiler if it is not on the path.")] = None,
    min_runtime_version: Annotated[
        int | None, typer.Option(help="Oldest version of libedgetpu's runtime that must run the result, e.g. 13.")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Plans that are compiled at most; 1 does not solve again.")] = 10,
    layout: Annotated[
        Layout | None, typer.Option(help="What a better plan may be; what the plan was asked for, if left out.")
    ] = None,
    time_limit: TimeLimit = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Prove the segments of a new plan equal to the whole model.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Compile a plan's segments; correct the plan by the reports."""
    from segsolve.compiler.run import find_compiler
    from segsolve.solvers.base import Limits
    from segsolve_runtime.bench.entrants import plan_folders
    from segsolve_runtime.contract.plan import is_pool, load_plan

    if [compile_segments, co_compile, check_coral].count(True) != 1:
        raise UsageError("build does one thing at a time", "give --compile, --co-compile or --check-coral")
    if co_compile == (output is None):
        where = "into the folder -o" if co_compile else "into the plan's own folder"
        raise UsageError(f"what is compiled goes {where}", "give -o" if co_compile else "leave out -o")
    within("--timeout", timeout, 1, _LONGEST_S)
    within("--rounds", rounds, 1)
    limits = Limits(time_limit_s=time_limit)
    if jobs is not None:
        within("--jobs", jobs, 1)
    folders = [*plan_folders(plans)]
    if check_coral:
        if len(folders) != 1 or is_pool(folders[0]):
            raise UsageError("the vendor's runner takes one plan, and none of a pool", "name the plan of one model")
        _check_coral(load_plan(folders[0]), as_json=as_json)
        return
    folder = load_plan(folders[0]) if output is None and len(folders) == 1 and not is_pool(folders[0]) else None
    tool = find_compiler(compiler, timeout_s=timeout, jobs=jobs, min_runtime_version=min_runtime_version)
    if output is not None:
        _co_compile(plans, tool, output, as_json=as_json)
        return
    if len(folders) != 1:
        _build_all(folders, tool, as_json=as_json)
        return
    if folder is None:
        build_pool(folders[0], tool, as_json=as_json)
        return
    known, note = _costs(folder, model, device)
    again = _solver(folder.plan, layout, limits)
    _compile(folder, tool, known, note, again=again, rounds=rounds, verify=verify, as_json=as_json)


def _co_compile(paths: Sequence[Path], tool: Compiler, output: Path, *, as_json: bool) -> None:
    """Compile models, segments and plans together, for one device."""
    from segsolve.compiler.together import compile_together, files_together
    from segsolve.report.together import together_document, together_table

    files = files_together(paths)
    with progress(f"compiling {len(files)} models together with edgetpu_compiler {tool.version}"):
        made = compile_together(files, tool, output)
    if as_json:
        show_json(together_document(made, tool.version))
    else:
        show(together_table(made, tool.version))
    news(f"wrote {len(files)} compiled models to {output}")


def _build_all(plans: Sequence[Path], tool: Compiler, *, as_json: bool) -> None:
    """Compile several plans, such as a shortlist's, as they are, each content once."""
    from segsolve.compiler.build import CompiledStages
    from segsolve_runtime.contract.plan import load_plan

    if as_json:
        raise UsageError(f"--json is of one plan, these are {len(plans)}", "name one of them")
    stages, note = CompiledStages(compiler=tool), "of several plans, each stays as it is"
    for plan in plans:
        news(f"{plan}:")
        folder = load_plan(plan)
        _compile(folder, tool, None, note, again=(None, ""), rounds=1, verify=False, as_json=False, stages=stages)
    news(f"{len(stages.known)} different segments; compare the plans with segsolve bench {plans[0].parent}")


def _check_coral(folder: PlanFolder, *, as_json: bool) -> None:
    from segsolve.compiler.coral import breaches, open_sizes
    from segsolve.report.compiled import coral_document, coral_text

    found = (*breaches(folder.plan), *open_sizes(folder))
    if as_json:
        show_json(coral_document(found))
    else:
        show_text(coral_text(found))
    if found:
        raise typer.Exit(ExitCode.BAD_PLAN)


def _costs(
    folder: PlanFolder, model: Path | None, device: str | None
) -> tuple[tuple[LoadedModel, CostSource] | None, str]:
    """Return the plan's model and its costs; without them, why not."""
    from segsolve.graph.read import check_model, read_model
    from segsolve.profile.load import planned_costs
    from segsolve.report.plan_source import find_model

    name = device or folder.plan.device.name
    try:
        costs_of = planned_costs(folder.plan.device, device)
    except DeviceError:
        if device is not None:
            raise
        return None, f"the device {name} is not in the catalogue, name its description with --device"
    path = model or find_model(folder)
    if path is None:
        return None, f"the model {folder.plan.model.name} was not found, name it with --model"
    loaded = read_model(path, folder.plan.model.signature)
    check_model(loaded.graph, path, folder.plan.model)
    return (loaded, costs_of(loaded.graph)), ""


def _compile(
    folder: PlanFolder,
    tool: Compiler,
    known: tuple[LoadedModel, CostSource] | None,
    note: str,
    *,
    again: tuple[Solve | None, str],
    rounds: int,
    verify: bool,
    as_json: bool,
    stages: CompiledStages | None = None,
) -> None:
    from segsolve.compiler.build import CompiledStages, tpu_files, write_compiled
    from segsolve.report.compiled import CompiledPlan, compiled_document, compiled_table

    stages = stages or CompiledStages(compiler=tool)
    refinement = None
    if known is not None:
        solution = folder.plan.solution
        no_spill = solution.question is not None and solution.question.no_spill
        problem = known[1].problem(tpus=solution.tpus_requested, no_spill=no_spill)
        solve, note = again if rounds > 1 else (None, "one round was asked for")
        refinement = _refine(folder, stages, *known, problem, solve, rounds)
        folder = _write_better(folder, *known, refinement, verify=verify)
    files = tpu_files(folder)
    with progress(f"compiling {len(files)} segments with edgetpu_compiler {tool.version}"):
        made = stages.compile_files([folder.root / file for file in files])
    compiled = dict(zip(files, made, strict=True))
    record = write_compiled(folder, compiled, tool.version)
    reports = {file: each.report for file, each in compiled.items()}
    codes = {file: each.code for file, each in compiled.items() if each.code}
    done = CompiledPlan(
        plan=folder.plan, compiler=tool.version, reports=reports, codes=codes, refinement=refinement, note=note
    )
    if as_json:
        show_json(compiled_document(done, record))
    else:
        show(compiled_table(done))
    news(f"wrote {folder.root / 'compile.json'} and {len(files)} compiled segments")


def _refine(
    folder: PlanFolder,
    stages: CompiledStages,
    loaded: LoadedModel,
    costs: CostSource,
    problem: Problem,
    solve: Solve | None,
    rounds: int,
) -> Refinement:
    from segsolve.compiler.fallback import Fallbacks
    from segsolve.compiler.refine import refine
    from segsolve.compiler.truth import StageTruth, stream_ns_per_byte, truth_of
    from segsolve.plan.model import plan_of
    from segsolve.report.compiled import round_news

    rate, fallbacks = stream_ns_per_byte(costs), Fallbacks(graph=loaded.graph, costs=costs)

    def compile_stages(new: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], StageTruth]:
        made = stages.compile_ops(loaded, new)
        return {ops: truth_of(problem, ops, each.report, rate, fallbacks) for ops, each in zip(new, made, strict=True)}

    with progress(f"compiling with edgetpu_compiler {stages.compiler.version}"):
        return refine(
            problem,
            plan_of(folder.plan),
            compile_stages,
            solve,
            most_rounds=rounds,
            observe=lambda done: news(round_news(done)),
        )


def _solver(plan: Plan, layout: Layout | None, limits: Limits) -> tuple[Solve | None, str]:
    """Return what asks the plan's question again under corrected costs; if it cannot be asked again, why not."""
    from segsolve.search.ask import answer

    solution = plan.solution
    if solution.objective != Objective.THROUGHPUT:
        return None, f"the plan is the best for {solution.objective}, only throughput can be solved again"
    question = _question(plan, layout)
    if question.constraints.limits:
        return None, "the plan keeps a latency or a rate, which cannot be promised as compiled"
    beyond = Cuts.AUTO if solution.cuts == "dag" else Cuts.CHAIN

    def solved(problem: Problem, gaps: bool) -> Found:
        return answer(problem, replace(question, cuts=beyond if gaps else Cuts.CHAIN), limits=limits)

    return solved, ""


def _question(plan: Plan, layout: Layout | None) -> Question:
    """Return what the plan was asked for; of a plan that does not record it, what it looks like."""
    from segsolve.plan.question import asked

    is_single = len(plan.pipelines) == 1 and all(stage.replicas == 1 for stage in plan.all_stages)
    record = plan.solution.question
    known = Question(layout=Layout.PIPELINE if is_single else Layout.ANY) if record is None else asked(record)
    return known if layout is None else replace(known, layout=layout)


def _write_better(
    folder: PlanFolder, loaded: LoadedModel, costs: CostSource, refinement: Refinement, *, verify: bool
) -> PlanFolder:
    """Write the plan anew where it became another one, or where its predictions did."""
    from segsolve.compiler.refine import End
    from segsolve.solvers.base import Status
    from segsolve_runtime.contract.plan import BEFORE_FILE, PLAN_FILE, load_plan
    from segsolve_runtime.contract.writing import replace_file

    best, answer = refinement.best, refinement.answer
    if answer is None or (best is refinement.rounds[0] and best.predicted == best.corrected):
        return folder
    period = best.corrected.period_ns
    stands = refinement.end is End.STANDS and answer.objective_ns == period
    kept = replace(
        answer,
        plan=best.plan,
        score=best.corrected,
        value=answer.value if stands else Fraction(period),
        bound=min(answer.bound, Fraction(period)),
        status=answer.status if stands else Status.FEASIBLE,
        confirmed_by=answer.confirmed_by if stands else (),
        certificate=answer.certificate if stands and best.plan == answer.plan else None,
    )
    before = (folder.root / PLAN_FILE).read_bytes()
    made = Answer(found=kept, problem=refinement.problem, device=costs.device, model=loaded)
    write_and_verify(made, folder.root, verify=verify)
    replace_file(folder.root / BEFORE_FILE, before)
    news(f"what changed: segsolve diff {folder.root}")
    return load_plan(folder.root)
