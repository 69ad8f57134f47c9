"""Operations in the stage of a number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from segsolve.errors import UsageError
from segsolve.plan.model import Pipeline
from segsolve.problem import Problem
from segsolve.question.constraint import Allowed, Constraint, Option, stage_numbers
from segsolve.question.constraints.cut_before import CutBefore
from segsolve.question.constraints.keep_together import KeepTogether, merged
from segsolve.question.operations import after, operation

if TYPE_CHECKING:
    from segsolve.cost.table import StageTable
    from segsolve.question.kept import Constraints


@dataclass(frozen=True)
class Pins(Constraint):
    """Each pair of `value` is an operation and the number of its stage."""

    value: tuple[tuple[int, int], ...]

    key: ClassVar[str] = "pins"
    option: ClassVar[Option] = Option(
        flag="--pin",
        help="Number of the stage that runs an operation; of a pool MODEL=OP=KIND or, for all of it, MODEL=KIND.",
        metavar="OP=STAGE",
        is_repeatable=True,
    )
    names_operations: ClassVar[bool] = True

    @classmethod
    def asked(cls, given: Any, problem: Problem | None) -> tuple[tuple[int, int], ...]:
        """Return the pairs of texts such as ``12=0``, or of pairs."""
        assert problem is not None
        texts = (pin if isinstance(pin, str) else f"{pin[0]}={pin[1]}" for pin in given)
        return tuple(sorted({_pin(problem, text) for text in texts}))

    @property
    def words(self) -> Iterator[str]:
        """What is asked."""
        yield from (f"operation {op} in stage {stage}" for op, stage in self.value)

    def check(self, problem: Problem, kept: Constraints) -> None:
        """Refuse two stages for one operation or group, stages that there are not, and a wrong order of stages."""
        self._check_numbers(min(problem.tpus, kept.most_stages or problem.tpus))
        self._check_groups(kept.get(KeepTogether))
        self._check_order(problem, kept.get(CutBefore))

    def _check_numbers(self, most: int) -> None:
        for (op, stage), (other, another) in pairwise(sorted(self.value)):
            if op == other:
                raise UsageError(
                    f"--pin puts operation {op} in stage {stage} and in stage {another}", "give one of the two"
                )
        for op, stage in self.value:
            if stage >= most:
                last = f"the last of {most} is stage {most - 1}"
                raise UsageError(f"--pin puts operation {op} in stage {stage}, {last}", "stages count from 0")

    def _check_groups(self, together: KeepTogether | None) -> None:
        pins = dict(self.value)
        for group in merged(together.value if together else ()):
            for a, b in pairwise([op for op in group if op in pins]):
                if pins[a] != pins[b]:
                    raise UsageError(
                        f"--pin puts operations {a} and {b} in stages {pins[a]} and {pins[b]}, --keep-together in one",
                        "leave out one of the two",
                    )

    def _check_order(self, problem: Problem, cut: CutBefore | None) -> None:
        """A stage takes nothing from a later one, and --cut-before moves on to the next stage at least."""
        for (a, early), (b, late) in combinations(sorted(self.value), 2):
            cuts = sum(a < op <= b for op in {*cut.value}) if cut else 0
            if cuts and late - early < cuts:
                raise UsageError(
                    f"--pin puts operations {a} and {b} in stages {early} and {late}, with {cuts} of --cut-before "
                    "between",
                    "leave out one of the two",
                )
            if late < early and b in after(problem, a):
                raise UsageError(
                    f"--pin puts operation {a} in stage {early} and operation {b}, which depends on it, in stage "
                    f"{late}",
                    "a stage takes tensors from earlier ones only",
                )

    @property
    def operations(self) -> Iterator[int]:
        """Those that are pinned."""
        return (op for op, _ in self.value)

    @property
    def is_about_numbers(self) -> bool:
        """It is."""
        return True

    def allowed_at(self, table: StageTable, stage: int) -> Iterator[Allowed]:
        """Leave those that hold what is pinned there, and nothing that is pinned elsewhere."""
        for op, wanted in self.value:
            yield table.holds(op) if stage == wanted else ~table.holds(op)

    def is_kept_by(self, pipeline: Pipeline) -> bool:
        """Whether each is where it is pinned."""
        at = stage_numbers(pipeline)
        return all(at[op] == stage for op, stage in self.value)


def _pin(problem: Problem, text: str) -> tuple[int, int]:
    name, found, stage = text.rpartition("=")
    if not found or not (stage.strip().isascii() and stage.strip().isdigit()) or len(stage) > 4:
        raise UsageError(f"--pin is {text!r}", "write an operation and the number of its stage, e.g. 12=0")
    return operation(problem, name), int(stage)
