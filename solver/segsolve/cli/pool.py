"""Pools for ``segsolve solve``, ``compare``, ``run``, ``verify`` and ``check``: several models, unequal Edge TPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segsolve.cli.console import news, progress, show, show_json, show_sentence
from segsolve.cli.no_plan import Rule, no_plan
from segsolve.errors import ExitCode
from segsolve_runtime.contract.document import jsonable

if TYPE_CHECKING:
    from segsolve.compiler.run import Compiler
    from segsolve.library.pools import SolvedPool
    from segsolve.pool.answer import PoolAnswer
    from segsolve.solvers.base import Limits
    from segsolve_runtime.contract.plan import PlanFolder

PoolText = Annotated[
    str | None,
    typer.Option(
        "--pool",
        help="Instead of --tpus and --device: kinds and counts, as edgetpu-m2:2,edgetpu-usb:1 or card8; "
        "POOL.toml; or attached.",
    ),
]
RateTexts = Annotated[
    list[str] | None,
    typer.Option("--rate", metavar="MODEL=PER_SECOND", help="Inferences per second of a model; repeatable."),
]
WeightText = Annotated[
    str | None, typer.Option("--weights", metavar="A=3,B=1", help="Proportion of the models' rates, instead of --rate.")
]
SharingText = Annotated[
    str, typer.Option("--sharing", help="Whether models share TPUs: auto, never, or co-compiled (always).")
]
HostOf = Annotated[
    str | None,
    typer.Option(
        "--host-of", help="Of a pool: the device whose description is right about the host, if not each kind's own is."
    ),
]
_SHORT = 40  # of a pool's text that fits beside what is told
TOO_FEW = Rule("serves every model", "give more TPUs, let models share them (--sharing auto), or ask for less")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """The options of a question about a pool, as the user gave them."""

    models: Sequence[Path]
    pool: str
    rates: Sequence[str]
    weights: str | None
    limits: Limits
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else `segsolve.solve` takes: the objective, what is known of the devices, constraints."""

    @property
    def question(self) -> dict[str, Any]:
        """Return what the library is asked, but for the models."""
        from segsolve.library.pools import parse_rates, parse_weights

        rates, weights = dict(parse_rates(self.rates)), parse_weights(self.weights)
        return {"pool": self.pool, "rates": rates, "weights": weights, "limits": self.limits, "tell": news, **self.more}


def solve_pool(options: PoolOptions, output: Path | None, *, verify: bool, as_json: bool) -> None:
    """Solve a question about a pool, show the answer, and write its folder."""
    from segsolve.pool.folder import check_pool_writable
    from segsolve.report.pool.answer import pool_document, pool_table
    from segsolve.report.units import count

    if output is not None:
        check_pool_writable(output)
    pool = options.pool if len(options.pool) <= _SHORT else "a pool"
    solved = _solved(options, f"solving {count(len(options.models), 'model')} on {pool}")
    answer = solved.found
    if as_json:
        show_json(pool_document(answer))
    elif answer.plan is not None:
        show(pool_table(answer))
    if answer.plan is None:
        raise no_plan(count(len(solved.problem.pool.devices), "TPU"), answer, TOO_FEW)
    if output is not None:
        written(solved, output, verify=verify)
    end(answer)


def end(answer: PoolAnswer) -> None:
    """Exit as README documents if a plan does not make the rates, or if more was to come."""
    from segsolve.cli.guard import say_error
    from segsolve.solvers.base import Stop

    if not answer.keeps_rates:
        say_error(
            answer.note or "the plan that was found does not make the rates that were asked for",
            "give more TPUs, or ask for less",
        )
        raise typer.Exit(ExitCode.NO_PLAN)
    if answer.stopped_by is Stop.INTERRUPTED:
        raise typer.Exit(ExitCode.INTERRUPTED)


def written(solved: SolvedPool, output: Path, *, verify: bool) -> None:
    """Write an answer's folder, and prove its segments equal to the models."""
    from segsolve.report.units import count

    folder = solved.write(output)
    news(f"wrote {output / 'pool.json'} and the plans of {count(len(folder.plans), 'model')}")
    for plan, loaded in zip(folder.plans, solved.models, strict=True) if verify else ():
        _verified(plan, loaded)


def compare_pool(options: PoolOptions, *, as_json: bool) -> None:
    """Hold the ways to use a pool against each other."""
    from segsolve.pool.simple import ways_beside
    from segsolve.report.pool.ways import ways_document, ways_table

    solved = _solved(options, "comparing ways to use the pool")
    ways, problem = ways_beside(solved.found), solved.problem
    weights = {demand.model: demand.weight for demand in problem.workload.demands}
    if as_json:
        show_json(ways_document(ways, weights))
    else:
        show(ways_table(ways, weights, problem.pool.notation))


def build_pool(path: Path, tool: Compiler, *, as_json: bool) -> None:
    """Compile the residents of each TPU together, in the order of the plan, with the vendor's compiler."""
    from segsolve.compiler.pool import compile_pool
    from segsolve.report.pool.compiled import compiled_pool_document, compiled_pool_table
    from segsolve_runtime.contract.pool import load_pool

    folder = load_pool(path)
    with progress(f"compiling for {len(folder.pool.devices)} TPUs with edgetpu_compiler {tool.version}"):
        done = compile_pool(folder, tool)
    if as_json:
        show_json(compiled_pool_document(done, tool.version))
    else:
        show(compiled_pool_table(done, tool.version))


def verify_pool(path: Path, *, inputs: int | None, seed: int, as_json: bool) -> None:
    """Prove the segments of every model of a pool equal to the model."""
    from segsolve.library.plans import verified_models
    from segsolve.report.units import count

    found: dict[str, Any] = {}
    for name, done in verified_models(path, inputs=inputs, seed=seed, begin=_begun):
        found[name] = {"identical": True, **jsonable(done)}
        if not as_json:
            show_sentence(
                f"{name}: identical, byte for byte: {count(done.output_tensors, 'output')} and "
                f"{count(done.crossing_tensors, 'crossing tensor')} on {count(done.inputs, 'random input')}"
            )
    if as_json:
        show_json(found)


def _compiling() -> None:
    news("compiling what searches pools, once after an installation: some seconds more")


def _begun(model: str) -> None:
    news(f"comparing the segments of {model} with the whole model")


def _solved(options: PoolOptions, task: str) -> SolvedPool:
    from segsolve.jit import announced
    from segsolve.library.pools import solve_pool as solve

    with progress(task) as observe, announced(_compiling):
        return solve(options.models, observe=observe, **options.question)


def _verified(plan: PlanFolder, loaded: Any) -> None:
    from segsolve.report.units import count
    from segsolve.segments.verify import verify

    with progress(f"comparing the segments of {loaded.path.stem} with the whole model"):
        done = verify(plan, loaded)
    news(
        f"verified {loaded.path.stem}: {count(done.output_tensors, 'output')} and "
        f"{count(done.crossing_tensors, 'crossing tensor')} of the segments are identical to the whole model's"
    )
