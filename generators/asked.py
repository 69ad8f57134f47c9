"""Questions in plain values: what the command line takes, and what the oracle judges by."""

from __future__ import annotations

from dataclasses import dataclass

from segsolve.question import Constraints, Cuts, Layout, Objective, Question


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a problem; operations and stages count from 0, times are ns.

    The words are those of ``segsolve solve``. Numbers of devices and `--no-spill` belong to the problem.
    """

    objective: str = "throughput"
    layout: str = "any"
    cuts: str = "auto"
    batch: int = 15
    max_latency_ns: int | None = None
    min_fps: float | None = None
    max_stages: int | None = None
    cut_before: tuple[int, ...] = ()
    no_cut_before: tuple[int, ...] = ()
    keep_together: tuple[tuple[int, ...], ...] = ()
    pins: tuple[tuple[int, int], ...] = ()

    def options(self) -> list[str]:
        """Return the options of ``segsolve solve`` that ask this, without those that ask for the default."""
        plain = Asked()
        said = [f"--{name}={getattr(self, name)}" for name in ("objective", "layout", "cuts")]
        said = [
            text
            for text, name in zip(said, ("objective", "layout", "cuts"), strict=True)
            if getattr(self, name) != getattr(plain, name)
        ]
        if self.objective == "batch":
            said.append(f"--batch={self.batch}")
        if self.max_latency_ns is not None:
            said.append(f"--max-latency={self.max_latency_ns}ns")
        if self.min_fps is not None:
            said.append(f"--min-fps={self.min_fps!r}")
        if self.max_stages is not None:
            said.append(f"--max-stages={self.max_stages}")
        said += [f"--cut-before={op}" for op in self.cut_before]
        said += [f"--no-cut-before={op}" for op in self.no_cut_before]
        said += [f"--keep-together={','.join(map(str, group))}" for group in self.keep_together]
        return [*said, *(f"--pin={op}={stage}" for op, stage in self.pins)]


def question(asked: Asked) -> Question:
    """Return the same as a question of the solver."""
    return Question(
        objective=Objective(asked.objective),
        layout=Layout(asked.layout),
        cuts=Cuts(asked.cuts),
        batch=asked.batch,
        constraints=Constraints.of(
            max_latency_ns=asked.max_latency_ns,
            min_fps=asked.min_fps,
            max_stages=asked.max_stages,
            cut_before=asked.cut_before,
            no_cut_before=asked.no_cut_before,
            keep_together=asked.keep_together,
            pins=asked.pins,
        ),
    )


def asked(question: Question) -> Asked:
    """Return a question of the solver in plain values."""
    return Asked(
        objective=question.objective.value,
        layout=question.layout.value,
        cuts=question.cuts.value,
        batch=question.batch,
        **question.constraints.values,
    )
