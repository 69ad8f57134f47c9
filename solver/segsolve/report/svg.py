"""A plan as one standalone drawing: the network with its cuts, and the time and memory of every TPU."""

from __future__ import annotations

from segsolve.report.html import environment, plan_figures
from segsolve.report.plan_view import PlanView
from segsolve.report.units import fps, ms, times

_LANES_Y, _LANE_HEIGHT = 152, 54


def plan_svg(view: PlanView) -> str:
    """Return the drawing of a plan whose layers are known."""
    figures = plan_figures(view)
    bars_y = _LANES_Y + _LANE_HEIGHT * (len(figures["more_lanes"]) + len(figures["lanes"])) + 14
    vendor = figures["other_bars"].get("compiler")
    height = bars_y + 46 + figures["plan_bars"].height + (10 + vendor.height if vendor else 0)
    return (
        environment()
        .get_template("plan.svg.j2")
        .render(figures | {"height": height, "bars_y": bars_y, "summary": _summary(view, figures["vendor_gain"])})
    )


def _summary(view: PlanView, gain: float | None) -> str:
    plan = view.strategy
    against = f", {times(gain)} of the vendor's cut" if gain else ""
    proven = "proven optimal" if view.is_optimal else "not proven optimal"
    one = f"{ms(plan.period_ns)} ms on the slowest TPU" if plan.is_plain else f"one per {ms(plan.period_ns)} ms"
    return (
        f"{fps(plan.throughput_fps)} inferences/s predicted ({one})"
        f"{against}; {proven}. Operations are as wide as their computing time; hatched: weights stream."
    )
