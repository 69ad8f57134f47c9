"""What `segsolve.solve` returns: an answer with what it is about, ready to be shown, written and built."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from segsolve_runtime.contract.document import jsonable

if TYPE_CHECKING:
    from segsolve.graph.read import LoadedModel
    from segsolve.plan.folder import CostsFile
    from segsolve.plan.model import Plan
    from segsolve.pool.answer import PoolAnswer
    from segsolve.problem import Problem
    from segsolve.profile.source import DeviceFacts
    from segsolve.search.answer import Answer as Found
    from segsolve.search.answer import ParetoPoint
    from segsolve.solvers.base import Confirmation


class Known:
    """What an answer says of itself, be it about a model or a pool."""

    found: Found | PoolAnswer

    @property
    def status(self) -> str:
        """ "optimal" over all that the question allows, "feasible", "infeasible" or "unknown"."""
        return str(self.found.status)

    @property
    def found_by(self) -> str:
        """What made the plan."""
        return self.found.found_by

    @property
    def confirmed_by(self) -> tuple[Confirmation, ...]:
        """What else showed something about it: by, claim, strength, seconds."""
        return self.found.confirmed_by

    @property
    def gap(self) -> float | None:
        """Distance from the bound, as a share of the value."""
        return self.found.gap


@dataclass(frozen=True, kw_only=True)
class Answer(Known):
    """The best plan for a question, what is known of its quality, and from whom.

    `problem` is what was solved, in ns and bytes; `model` the model's file, None where costs came without one, from the
    file `costs`.
    """

    found: Found
    problem: Problem
    device: DeviceFacts
    model: LoadedModel | None = field(default=None, repr=False)
    costs: CostsFile | None = field(default=None, repr=False)

    @property
    def plan(self) -> Plan | None:
        """The pipelines with their stages; None if there is no plan."""
        return self.found.plan

    @property
    def best_over(self) -> str | None:
        """Over what a plan that is not proven optimal is yet the best, e.g. "execution order"."""
        return self.found.best_over

    @property
    def points(self) -> tuple[ParetoPoint, ...]:
        """The plans of a Pareto front, by TPUs and latency; empty for other objectives."""
        return self.found.points

    @property
    def period_ns(self) -> int | None:
        """Predicted time per inference of the whole plan, in ns."""
        return self.found.score.period_ns if self.found.score else None

    @property
    def latency_ns(self) -> int | None:
        """Predicted time of one inference from end to end, in ns."""
        return self.found.score.latency_ns if self.found.score else None

    @property
    def throughput_fps(self) -> float | None:
        """Predicted inferences per second, rounded down: it may be asked for again."""
        return self.found.score.throughput_fps if self.found.score else None

    @property
    def objective_ns(self) -> int | None:
        """The value of the objective in ns; of those that count TPUs, the time per inference."""
        return self.found.objective_ns

    @property
    def bound_ns(self) -> int:
        """No plan that the question allows has a smaller `objective_ns`."""
        return self.found.bound_ns

    def __repr__(self) -> str:
        """Return a line, as an answer holds all costs of all operations."""
        found = "" if self.plan is None else f", layout {self.plan.layout}, {self.throughput_fps:.1f} per second"
        return f"<Answer {self.status}: {self._title}{found} (predicted)>"

    @property
    def _title(self) -> str:
        return f"{self.problem.name} on {self.problem.tpus} x {self.device.name}"

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `segsolve solve --json` prints."""
        from segsolve.report.answer import answer_document

        document: dict[str, Any] = jsonable(
            answer_document(self.problem, self.found, self.device.ranges, self.device.start)
        )
        return document

    def _repr_html_(self) -> str:
        from segsolve.report.answer import front_points
        from segsolve.report.front import plot_svg

        document = self.to_dict()
        head = f"{self._title}: {self.status}"
        if self.plan is None:
            return f"<p>{escape(head)}</p>"
        said = "; ".join(f"{c.by}: {c.claim}" for c in self.confirmed_by)
        rows = [
            {
                "pipeline": stage["pipeline"],
                "operations": ", ".join(f"{a}-{b}" for a, b in stage["op_ranges"]),
                "TPUs": stage["replicas"],
                "ms": f"{stage['time_ns'] / 1e6:.3f}",
                "streamed MiB": f"{stage['offchip_bytes'] / 2**20:.2f}",
            }
            for stage in document["stages"]
        ]
        front = plot_svg(front_points(self.found)) if len(self.points) > 1 else ""
        return (
            f"{front}"
            f"<p>{escape(head)}, layout {escape(self.plan.layout)}, {self.throughput_fps:.1f} inferences per second "
            f"(predicted). Found by {escape(self.found_by)}. {escape(said)}</p>{html_table(rows)}"
        )


class Rows(list[dict[str, Any]]):
    """Rows of a table, as dictionaries with the same keys; a notebook shows them as one."""

    def _repr_html_(self) -> str:
        return html_table(self)


def html_table(rows: list[dict[str, Any]]) -> str:
    """Return rows with the same keys as a table in HTML."""
    if not rows:
        return "<table></table>"
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape('' if cell is None else str(cell))}</td>" for cell in row.values()) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
