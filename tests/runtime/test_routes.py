from __future__ import annotations

from generators.runtime_plans import Sketch, chain_plan, make_plan
from segsolve_runtime.flow.routes import routes


def test_a_chain_keeps_only_what_the_next_stage_takes() -> None:
    assert [(r.takes, r.keeps) for r in routes(chain_plan([1, 1, 1]))] == [
        (("t0",), ("t1",)),
        (("t1",), ("t2",)),
        (("t2",), ("t3",)),
    ]


def test_skips_late_inputs_and_early_outputs_travel_along() -> None:
    plan = make_plan(
        [
            Sketch(takes=["x"], makes=["a", "early", "unused"]),
            Sketch(takes=["a"], makes=["b"]),
            Sketch(takes=["a", "b", "late"], makes=["out"]),
        ],
        inputs=["x", "late", "ignored"],
        outputs=["out", "early"],
    )
    assert [set(r.keeps) for r in routes(plan)] == [
        {"late", "a", "early"},
        {"late", "a", "early", "b"},
        {"out", "early"},
    ]


def test_an_input_can_be_an_output() -> None:
    plan = make_plan([Sketch(takes=["x"], makes=["y"])], inputs=["x"], outputs=["y", "x"])
    assert set(routes(plan)[0].keeps) == {"x", "y"}
