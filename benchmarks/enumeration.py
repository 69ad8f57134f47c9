"""The command line against an oracle that tries every plan: thousands of small problems, asked as a user would.

    python -m benchmarks.enumeration [--first SEED] [--count N] [--keep FOLDER]

Profiles with and without a host, placement graphs with cores, and networks on devices that share a link and a host are
written as files; `segsolve solve --json` answers in this process; `generators.enumeration` says what is true. The first
wrong answer of each kind is made as small as it stays wrong, and kept as files with its command.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, nextafter
from pathlib import Path
from shlex import join
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from ortools.sat.python import cp_model
from scipy import optimize

from benchmarks.common import write_result
from generators.asked import Asked, question
from generators.cases import Case, random_case
from generators.command import Done, inside
from generators.enumeration import Point, Tried, Truth, fps_of, is_fast_enough, makespan, pipelines, point_of, truth
from segsolve.errors import ExitCode, SegsolveError
from segsolve.plan.model import Processor, Stage
from segsolve.problem import Problem
from segsolve.report.answer import answer_document
from segsolve.search.ask import answer

COUNT = 2000
_DECIDED_BY_RATE = (
    "a plan is missed",
    "a plan is too slow",
    "not the best",
    "a front is not complete",
    "a question with an answer is refused",
)


class Wrong(Exception):
    """An answer is wrong: in what way, and how."""

    def __init__(self, kind: str, how: object) -> None:
        super().__init__(f"{kind}: {how}")
        self.kind, self.how = kind, how


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--count", type=int, default=COUNT)
    options.add_argument("--keep", type=Path, help="folder for the wrong answers")
    given = options.parse_args()
    counts = run(range(given.first, given.first + given.count), given.keep)
    if given.keep is None:
        write_result("enumeration", counts)


def run(seeds: range, keep: Path | None = None) -> dict[str, Any]:
    """Ask about the problem of each seed; return how the answers were, and name those that were wrong."""
    start = time.perf_counter()
    said: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    wrong: dict[str, list[int]] = {}
    with TemporaryDirectory() as folder:
        for seed in seeds:
            case = random_case(seed, Path(folder))
            asked[f"{case.kind}, {case.asked.objective}"] += 1
            try:
                said[judged(case, Path(folder))] += 1
            except Wrong as found:
                seeds_so_far = wrong.setdefault(f"{found.kind} ({_what(case)})", [])
                seeds_so_far.append(seed)
                if len(seeds_so_far) == 1:
                    _tell(seed, found, case, keep)
    print(len(seeds), "asked,", dict(said), {kind: len(found) for kind, found in wrong.items()}, flush=True)
    return {
        "wall_s": round(time.perf_counter() - start, 1),
        "first_seed": seeds.start,
        "asked": dict(sorted(asked.items())),
        "answers": dict(said),
        "wrong": wrong,
    }


def _what(case: Case) -> str:
    """Say in a few words what was asked, of what."""
    limits = [name for name in ("max_latency_ns", "min_fps") if getattr(case.asked, name) is not None]
    return " ".join([case.kind, case.asked.objective, *limits])


def judged(case: Case, folder: Path) -> str:
    """Ask the command line about a case and return the status of its answer.

    Raises:
        Wrong: the answer is not true.
    """
    args = [*case.write(folder), "--json"]
    if case.kind == "linked":
        problem = case.problem(folder)
        with _solvers() as ran:
            done = _answered(problem, case.asked)
        return _Judge(problem, case.asked, done, {}, ran).status()
    plan = folder / "plan"
    if case.kind == "model":
        shutil.rmtree(plan, ignore_errors=True)
        args += ["--no-verify", "-o", plan]
    with _solvers() as ran:
        done = inside(*args)
    problem = case.problem(folder)
    status = _Judge(problem, case.asked, done, _names(case, folder, problem), ran).status()
    return f"{status}, {_certified(plan, status)}" if plan.exists() and case.kind == "model" else status


@contextmanager
def _solvers() -> Iterator[set[str]]:
    """Collect the names of the solvers that run meanwhile, as answers name them."""
    ran: set[str] = set()

    def counted(name: str, solve: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **options: Any) -> Any:
            ran.add(name)
            return solve(*args, **options)

        return run

    with (
        patch.object(cp_model.CpSolver, "solve", counted("cp-sat", cp_model.CpSolver.solve)),
        patch.object(optimize, "milp", counted("highs", optimize.milp)),
    ):
        yield ran


def _answered(problem: Problem, asked: Asked) -> Done:
    """Ask without the command line, and return what it would have said."""
    try:
        found = answer(problem, question(asked))
    except SegsolveError as error:
        return Done(code=error.exit_code, stdout="", stderr=f"error: {error}")
    except Exception as error:  # the command line would end with a bug report
        return Done(code=ExitCode.INTERNAL, stdout="", stderr=f"error: {type(error).__name__}: {error}")
    code = ExitCode.NO_PLAN if found.plan is None else ExitCode.OK
    return Done(code=code, stdout=json.dumps(answer_document(problem, found)), stderr="error: no plan")


def _certified(plan: Path, status: str) -> str:
    """Return what ``segsolve check`` says of a plan's folder; a certificate that proves nothing is a wrong one."""
    done = inside("check", plan)
    if done.code == ExitCode.OK:
        if status != "optimal":
            raise Wrong("a plan is certified that was not proven", status)
        return "certified"
    if done.code != ExitCode.NO_CERTIFICATE:
        raise Wrong("a plan is not certified", _error(done))
    return "no certificate"


def _names(case: Case, folder: Path, problem: Problem) -> dict[Any, int]:
    """What the operations are called in an answer about cores, to their positions."""
    from segsolve.profile.placement import load_placement

    if case.kind == "graph":
        members = load_placement(folder / case.file).members
        return {name: position for position, names in enumerate(members) for name in names}
    return {op.name: position for position, op in enumerate(problem.ops)}


@dataclass(frozen=True)
class _Judge:
    """Holds what a command said against what is true."""

    problem: Problem
    asked: Asked
    done: Done
    names: dict[Any, int]
    ran: set[str]

    def status(self) -> str:
        """Return the status that the answer has, if it is a true one."""
        true = truth(self.problem, self.asked)
        try:
            return self._status(true)
        except Wrong as found:
            least = self.asked.min_fps
            if (
                least is None
                or found.kind not in _DECIDED_BY_RATE
                or truth(self.problem, replace(self.asked, min_fps=nextafter(least, inf))) == true
            ):
                raise
            raise Wrong(f"where a plan's own rate was asked for, {found.kind}", found.how) from None

    def _status(self, true: Truth) -> str:
        if self.done.code not in (ExitCode.OK, ExitCode.NO_PLAN, ExitCode.USAGE) or "Traceback" in self.done.stderr:
            raise Wrong(f"exit code {self.done.code}", _error(self.done))
        if self.done.code == ExitCode.USAGE:
            return self._refused(true)
        answer = json.loads(self.done.stdout) if self.done.stdout else {"status": "infeasible"}
        if (self.done.code == ExitCode.NO_PLAN) != (not self._pipelines(answer)):
            raise Wrong("exit code and plan differ", (self.done.code, answer["status"]))
        if "confirmed_by" in answer:
            self._check_names(answer)
        if self.done.code == ExitCode.OK:
            self._check_plan(answer, true)
        elif answer["status"] == "infeasible" and true.value is not None:
            raise Wrong("a plan is missed", f"there is one of {_text(true.value)}; {_error(self.done)}")
        return f"{answer['status']}"

    def _check_names(self, answer: dict[str, Any]) -> None:
        """Check that what an answer names has run, and that what it claims was confirmed."""
        named = {answer["found_by"], *(one["by"] for one in answer["confirmed_by"])}
        if idle := (named & {"cp-sat", "highs"}) - self.ran:
            raise Wrong("a solver is named that did not run", sorted(idle))
        if answer["status"] in ("optimal", "infeasible") and not answer["confirmed_by"]:
            raise Wrong("nothing confirms the answer", answer["status"])

    def _refused(self, true: Truth) -> str:
        """Questions that contradict themselves are refused; one that has an answer is not to be."""
        if true.value is not None:
            raise Wrong("a question with an answer is refused", _error(self.done))
        return "refused"

    def _check_plan(self, answer: dict[str, Any], true: Truth) -> None:
        tried = {one.stages: one for one in pipelines(self.problem, self.asked)}
        if self.asked.objective == "pareto":
            plans = [self._pipelines(point) for point in answer["points"]]
        else:
            plans = [self._pipelines(answer)]
        if strange := [stages for plan in plans for stages in plan if stages not in tried]:
            raise Wrong("a plan is not valid", strange[0])
        mixes = [tuple(tried[stages] for stages in plan) for plan in plans]
        for mix in mixes:
            self._check_kept(mix, true)
        if self.asked.objective == "pareto":
            self._check_front(answer, [point_of(mix) for mix in mixes], true)
        else:
            self._check_value(answer, mixes[0], true)

    def _check_kept(self, mix: tuple[Tried, ...], true: Truth) -> None:
        """Check that a plan keeps what holds for it as a whole."""
        point = point_of(mix)
        if point.tpus > self.problem.tpus or (self.asked.layout == "pipeline" and len(mix) > 1):
            raise Wrong("a plan takes too much", point)
        if self.asked.max_latency_ns is not None and point.latency_ns > self.asked.max_latency_ns:
            raise Wrong("a plan is too late", point)
        if not is_fast_enough(point.rate, self.asked):
            best = "none is" if true.value is None else "another is"
            raise Wrong("a plan is too slow", f"{fps_of(point.rate)} fps; {best} fast enough")

    def _check_value(self, answer: dict[str, Any], mix: tuple[Tried, ...], true: Truth) -> None:
        assert true.value is not None
        point, value = point_of(mix), self._value(mix)
        is_time = self.asked.objective != "devices"
        told: dict[str, object] = {"throughput_fps": fps_of(point.rate)}
        if "latency_ns" in answer:
            told["latency_ns"] = point.latency_ns
        if "batch" in answer:  # not of graphs
            told |= {"tpus_used": point.tpus, "batch_ns": makespan([one.lane for one in mix], answer["batch"])}
        if is_time:
            told["objective_ns"] = -(-value // 1)
        for name, right in told.items():
            if answer[name] != right:
                raise Wrong(f"{name} is not the plan's", f"{answer[name]}, the plan has {right}")
        if value < true.value:
            raise Wrong("a plan is better than all", f"{_text(value)} < {_text(true.value)}")
        if answer["status"] == "optimal" and value != true.value:
            raise Wrong("not the best", f"{_text(value)} is called optimal, {_text(true.value)} is")
        if answer.get("best_over") == "execution order":
            least = truth(self.problem, replace(self.asked, cuts="chain")).value
            if value != least:
                raise Wrong("not the best of the execution order", f"{_text(value)}, {least} is")
        if is_time:
            self._check_bound(answer, true.value)

    def _check_bound(self, answer: dict[str, Any], best: Fraction) -> None:
        bound = answer["bound_ns"]
        if bound > -(-best // 1):
            raise Wrong("the bound is wrong", f"{bound} > {_text(best)}")
        if answer["status"] == "optimal" and (bound != answer["objective_ns"] or answer["gap"]):
            raise Wrong("optimal with a gap", {key: answer[key] for key in ("objective_ns", "bound_ns", "gap")})

    def _check_front(self, answer: dict[str, Any], points: list[Point], true: Truth) -> None:
        for told, point in zip(answer["points"], points, strict=True):
            right = {"tpus": point.tpus, "latency_ns": point.latency_ns, "throughput_fps": fps_of(point.rate)}
            if any(told[key] != value for key, value in right.items()):
                raise Wrong("a point is not its plan's", f"{told}, the plan has {right}")
        if answer["status"] == "optimal" and (strange := set(points) - true.points):
            raise Wrong("a front has worse points", sorted(strange, key=str)[0])
        if answer["status"] == "optimal" and (missing := true.points - set(points)):
            raise Wrong("a front is not complete", sorted(missing, key=str)[0])

    def _value(self, mix: tuple[Tried, ...]) -> Fraction:
        """Return what a plan is worth, in the objective's unit."""
        point = point_of(mix)
        match self.asked.objective:
            case "latency":
                return Fraction(point.latency_ns)
            case "devices":
                return Fraction(point.tpus)
            case "batch":
                return Fraction(makespan([one.lane for one in mix], self.asked.batch))
            case _:
                return 1 / point.rate

    def _pipelines(self, answer: dict[str, Any]) -> list[tuple[Stage, ...]]:
        """Return the stages of each pipeline of a plan in an answer."""
        if "pipelines" in answer:
            return [tuple(map(_stage, pipeline["stages"])) for pipeline in answer["pipelines"]]
        stages = [self._named(stage) for stage in answer.get("stages", ()) if stage["operations"]]
        return [tuple(stages)] if stages else []

    def _named(self, stage: dict[str, Any]) -> Stage:
        ops = tuple(sorted({self.names[name] for name in stage["operations"]}))
        return Stage(ops=ops, processor=Processor.CPU if stage["processor"] == "cpu" else Processor.EDGETPU)


def _stage(stage: dict[str, Any]) -> Stage:
    ops = tuple(op for first, last in stage["op_ranges"] for op in range(first, last + 1))
    return Stage(ops=ops, replicas=stage["replicas"], processor=Processor(stage["processor"]))


def _error(done: Done) -> str:
    """Return the sentence in which a command says what is wrong, or the end of what it said."""
    lines = done.stderr.strip().splitlines()
    return next((line for line in lines if line.startswith("error: ")), lines[-1] if lines else "")


def _text(value: Fraction) -> str:
    return f"{value.numerator}" if value.denominator == 1 else f"{float(value)}"


def _tell(seed: int, found: Wrong, case: Case, keep: Path | None) -> None:
    """Print a wrong answer, as small as it stays wrong, with its command; keep its files."""
    small, how = smaller(case, found)
    with TemporaryDirectory() as folder:
        target = (keep or Path(folder)) / f"{seed}"
        target.mkdir(parents=True, exist_ok=True)
        command = join(["segsolve", *(str(arg) for arg in small.write(target))])
        (target / "command.txt").write_text(f"{command}\n{how}\n", encoding="utf-8")
        print(f"seed {seed}: {how}\n  {command}", flush=True)
        if small.link_ns_per_mib is not None:
            print(f"  on a link of {small.link_ns_per_mib} ns per MiB", flush=True)
        if small.kind != "model":
            print(f"  {small.file}: {json.dumps(small.content)}", flush=True)


def smaller(case: Case, found: Wrong) -> tuple[Case, Wrong]:
    """Leave out what can be left out while an answer stays wrong in the same way."""
    with TemporaryDirectory() as folder:
        while True:
            for other in _simpler(case):
                try:
                    judged(other, Path(folder))
                except Wrong as still:
                    if still.kind == found.kind:
                        case, found = other, still
                        break
                except Exception:  # what is left is no valid file or question
                    continue
            else:
                return case, found


def _simpler(case: Case) -> Iterator[Case]:
    """Yield cases with one thing less."""
    plain = Asked()
    for name in ("min_fps", "max_latency_ns", "max_stages", "cut_before", "no_cut_before", "keep_together", "pins"):
        if getattr(case.asked, name) != getattr(plain, name) and not _is_needed(name, case.asked):
            yield replace(case, asked=replace(case.asked, **{name: getattr(plain, name)}))
    if case.asked.batch > 1 and case.asked.objective == "batch":
        yield replace(case, asked=replace(case.asked, batch=case.asked.batch - 1))
    if case.tpus > 1:
        yield replace(case, tpus=case.tpus - 1)
    if case.cpus:
        yield replace(case, cpus=case.cpus - 1)
    if case.link_ns_per_mib:
        less = {0, 2**20, case.link_ns_per_mib // 2}
        yield from (replace(case, link_ns_per_mib=ns) for ns in sorted(less) if ns < case.link_ns_per_mib)
    if case.no_spill:
        yield replace(case, no_spill=False)
    if case.kind != "model":
        yield from (replace(case, content=content) for content in _less(case.content))


def _is_needed(limit: str, asked: Asked) -> bool:
    """Whether a question makes no sense without a limit: the fewest devices are asked for a rate or a latency."""
    limits = {"min_fps": asked.min_fps, "max_latency_ns": asked.max_latency_ns}
    return asked.objective == "devices" and limit in limits and None in limits.values()


def _less(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield documents without one of their records, or one of the fields of a record, or with smaller numbers."""
    lists = [name for name, records in document.items() if isinstance(records, list)]
    for name in lists:
        for k in range(len(document[name])):
            yield _without(document, name, k)
    for field in ("scale", "segments"):
        if field in document:
            yield {key: value for key, value in document.items() if key != field}
    for name in lists:
        for k, record in enumerate(document[name]):
            for lean in _leaner(record):
                yield document | {name: [*document[name][:k], lean, *document[name][k + 1 :]]}
    if "device" in document:
        yield from (document | {"device": lean} for lean in _leaner(document["device"]))


def _without(document: dict[str, Any], name: str, k: int) -> dict[str, Any]:
    left = document | {name: [*document[name][:k], *document[name][k + 1 :]]}
    if name == "layers":
        gone = document[name][k]["name"]
        left["edges"] = [edge for edge in left["edges"] if gone not in (edge.get("from"), edge.get("to"))]
    if name == "nodes":
        gone = document[name][k]["id"]
        left["edges"] = [edge for edge in left["edges"] if gone not in (edge["sourceId"], edge["destId"])]
    return left


def _leaner(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, value in record.items():
        if key not in ("name", "id", "time_ns", "param_bytes", "bytes", "from", "to"):
            yield {other: kept for other, kept in record.items() if other != key}
        if isinstance(value, int) and value > 0 and key != "id":
            for less in {0, 1, value // 2, 10 ** (len(str(value)) - 1)} - {value}:
                yield record | {key: less}


if __name__ == "__main__":
    main()
