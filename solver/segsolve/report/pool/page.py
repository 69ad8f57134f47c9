"""The report of a pool's plan as one self-contained HTML file."""

from __future__ import annotations

from segsolve.report.html import environment
from segsolve.report.pool.drawing import TIME_WIDTH, TIME_X, WEIGHT_X, rows, steady
from segsolve.report.pool.explain import explain_pool
from segsolve.report.pool.view import PoolView


def pool_html(view: PoolView) -> str:
    """Return the report of a pool's plan as an HTML document."""
    return (
        environment()
        .get_template("pool.html.j2")
        .render(
            view=view,
            explanation=explain_pool(view),
            rows=rows(view),
            gantt=steady(view),
            time_x=TIME_X,
            time_end=TIME_X + TIME_WIDTH,
            weight_x=WEIGHT_X,
        )
    )
