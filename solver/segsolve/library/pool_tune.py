"""Pools by measured costs: solve, run, correct the costs of each model on each kind, until no plan looks better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from segsolve.library.costs import Tell, quiet
from segsolve.library.pool_profiles import Place, pool_text, profiles_of_run
from segsolve.library.pools import PosedPool, SolvedPool, fractions_of, pose_pool
from segsolve.refine import End, Proposal, refine
from segsolve_runtime.contract.document import members

if TYPE_CHECKING:
    from segsolve.library.named_pools import NamedPool
    from segsolve.pool.evaluate import PoolScore
    from segsolve.pool.plan import PoolPlan
    from segsolve.solvers.base import Limits
    from segsolve_runtime.contract.pool import PoolFolder
    from segsolve_runtime.flow.metrics import Metrics

_OF_QUESTION = ("objective", "sharing", "no_spill")
Run = Callable[["PoolFolder"], Mapping[str, "Metrics"]]
"""Runs a pool's plan and returns what was measured of each model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRound:
    """A plan that was run; all in ns.

    `predicted_ns` is its value (the period, or the worst latency where that is asked for) as predicted before, and
    `corrected_ns` by the costs that its run corrected; `ran_ns` the period as it ran, all models as fast as they can;
    `keeps` whether by the corrected costs it is a plan that was asked for.
    """

    number: int
    predicted_ns: int
    corrected_ns: int
    ran_ns: int
    keeps: bool


@dataclass(frozen=True, kw_only=True)
class TunedPool:
    """The plan whose value is the least by measured costs, of those that were run.

    None where there is no plan, or none that was run keeps by these costs what was asked for. Where the loop came to
    its end, the answer is under the measured costs, with what is proven of these; else under those that the plan was
    found with. `last` is the last answer of the solver. `pool` is what `--pool` takes for the same pool with the
    profiles that were written, one for each model on each kind.
    """

    solved: SolvedPool | None
    last: SolvedPool
    end: End
    rounds: tuple[PoolRound, ...]
    profiles: tuple[Path, ...]
    pool: str

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `segsolve tune --pool --json` prints; times in ns."""
        names = ("number", "predicted_ns", "corrected_ns", "ran_ns", "keeps")
        return {
            "stopped_by": str(self.end),
            "rounds": [members(done, *names) for done in self.rounds],
            "pool": self.pool,
            "answer": None if self.solved is None else self.solved.to_dict(),
        }


def tune_pool(
    models: Sequence[Path],
    named: NamedPool,
    run: Run,
    *,
    backend: str,
    into: Path,
    most_rounds: int = 10,
    limits: Limits | None = None,
    observe: Callable[[PoolRound], object] = lambda done: None,
    tell: Tell = quiet,
    **asked: Any,
) -> TunedPool:
    """Solve, run the plan that looks best, correct the costs by what its stages took, and solve again.

    It ends where the plan that looks best was run before: by the costs as they were corrected no other is better, of
    which those that never ran may be off. `asked` is what `segsolve.solve` takes besides. The folder `into` gets
    the profiles.

    Raises:
        UsageError, ModelError, DeviceError: an argument, a model or a device is at fault.
        OutputError: a folder cannot be written.
    """
    runs = _Runs(models, named, run, backend, into, limits, observe, tell, asked)
    ended = refine(runs, most_rounds=most_rounds)
    assert runs.solved is not None
    stands = runs.best is not None and ended.end is End.STANDS
    return TunedPool(
        solved=_under_the_costs_of(runs.solved, runs.best) if stands and runs.best is not None else runs.best,
        last=runs.solved,
        end=ended.end,
        rounds=tuple(runs.rounds),
        profiles=tuple(runs.profiles.values()),
        pool=runs.text,
    )


@dataclass
class _Runs:
    """The observer of `refine` that runs whole plans."""

    models: Sequence[Path]
    named: NamedPool
    run: Run
    backend: str
    into: Path
    limits: Limits | None
    tell_round: Callable[[PoolRound], object]
    tell: Tell
    asked: Mapping[str, Any]
    best: SolvedPool | None = None
    rounds: list[PoolRound] = field(default_factory=list)
    profiles: dict[Place, Path] = field(default_factory=dict)
    text: str = ""
    solved: SolvedPool | None = None
    _ran: set[PoolPlan] = field(default_factory=set)
    _seen: dict[PoolPlan, int] = field(default_factory=dict)  # of those that keep what was asked for

    def _posed(self, tell: Tell) -> PosedPool:
        rates, weights = fractions_of(self.asked.get("rates")), self.asked.get("weights") or {}
        others = {name: value for name, value in self.asked.items() if name not in ("rates", "weights")}
        known = {name: others.pop(name) for name in _OF_QUESTION if name in others}
        return pose_pool(self.models, self.named, rates=rates, weights=weights, constraints=others, tell=tell, **known)

    def propose(self, best_ns: int | None) -> Proposal[PoolPlan]:
        """Return the best plan under the costs as they are known."""
        from segsolve.pool.folder import up

        self.solved = self._posed(self.tell).solve(self.limits)
        plan, score = self.solved.found.plan, self.solved.found.score
        if plan is None or score is None or (plan in self._ran and not _is_asked_for(score)):
            return Proposal(plan=None, cost_ns=0)
        return Proposal(plan=plan, cost_ns=self._seen.get(plan, up(score.value)))

    def observe(self, proposal: Proposal[PoolPlan], best_ns: int | None) -> int | None:
        """Run a plan and correct the costs of its stages; return its value by these, None if it is out of question."""
        from segsolve.pool.evaluate import score_pool
        from segsolve.pool.folder import up

        assert self.solved is not None
        assert self.solved.found.value is not None
        assert proposal.plan is not None
        number = len(self.rounds) + 1
        with TemporaryDirectory() as temporary:
            folder = self.solved.write(Path(temporary) / "plan")
            metrics = self.run(folder)
            self._learn(folder, metrics)
        score = score_pool(self._posed(quiet).problem, proposal.plan)
        corrected_ns, keeps = up(score.value), _is_asked_for(score)
        if keeps:
            self._seen[proposal.plan] = corrected_ns
            if best_ns is None or corrected_ns < best_ns:
                self.best = self.solved
        self._ran.add(proposal.plan)
        ran = max(model.weight * 1e9 / max(metrics[model.name].throughput_fps, 1e-9) for model in folder.pool.models)
        done = PoolRound(
            number=number,
            predicted_ns=up(self.solved.found.value),
            corrected_ns=corrected_ns,
            ran_ns=round(ran),
            keeps=keeps,
        )
        self.rounds.append(done)
        self.tell_round(done)
        return corrected_ns if keeps else None

    def _learn(self, folder: PoolFolder, metrics: Mapping[str, Metrics]) -> None:
        """Write a profile for each model on each kind that it ran on, with what earlier rounds measured of others."""
        from segsolve.profile.format import profile_json
        from segsolve.profile.load import kind_parts
        from segsolve.report.write import write_text

        file = folder.pool
        for (k, m), profile in profiles_of_run(folder, metrics, self.backend, self.models[0].parent).items():
            name = f"{file.kinds[k].name}-{file.models[m].name}"
            path = self.into / f"{''.join(c if c.isalnum() or c in '-_.' else '_' for c in name)}.json"
            write_text(path, profile_json(profile))
            self.profiles[k, m] = path
        devices = []
        for k, device in enumerate(self.named.devices):
            own = [str(path) for (kind, _), path in self.profiles.items() if kind == k]
            first, *others = kind_parts(device)
            devices.append("+".join(dict.fromkeys((first, *own, *others))))
        self.named = replace(self.named, devices=tuple(devices))
        self.text = pool_text(folder, self.profiles)


def _is_asked_for(score: PoolScore) -> bool:
    """Whether a plan keeps what was asked for; rates are kept where the least latency is asked for at some."""
    from segsolve.pool.evaluate import keeps
    from segsolve.pool.model import Goal

    is_free = score.problem.workload.goal is Goal.RATES
    return keeps(score.problem, score.plan) and (is_free or score.makes_rates)


def _under_the_costs_of(last: SolvedPool, best: SolvedPool) -> SolvedPool:
    """Return the best plan as an answer to the last question: under the costs as they are now, with their bound.

    If it is none that was asked for under these, it is the last answer, whose plan ran before, too.
    """
    from segsolve.pool.evaluate import score_pool
    from segsolve.solvers.base import Status

    assert best.found.plan is not None
    score, known = score_pool(last.problem, best.found.plan), last.found
    if not _is_asked_for(score):
        return last
    found = replace(
        known,
        plan=best.found.plan,
        score=score,
        value=score.value,
        bound=min(known.bound, score.value),
        certified=min(known.certified, score.value),
        narrow=known.narrow and (min(known.narrow[0], score.value), min(known.narrow[1], score.value)),
        status=Status.OPTIMAL if known.bound >= score.value else Status.FEASIBLE,
        found_by=best.found.found_by,
    )
    return replace(last, found=found)
