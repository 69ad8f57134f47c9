"""Whatever a certificate holds, the check ends with a sentence; what it accepts is still a proof."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generators.dags import spilling_dag
from segsolve.checker.document import parse
from segsolve.checker.failure import CertificateFault
from segsolve.question import Layout, Objective, Question

from .cases import Case, solved

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
FOREIGN: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**62,
    2**63,
    10**30,
    1.5,
    "",
    "a",
    "ff",
    "latency",
    [],
    [[]],
    {},
    [None],
)


def case_of(objective: Objective) -> Case:
    # Claims prove a batch where no stage has replicas.
    layout = Layout.PIPELINE if objective is Objective.BATCH else Layout.ANY
    case = solved(spilling_dag(6, 3, 1), Question(objective=objective, batch=4, layout=layout), graph=True)
    assert case is not None and case.check().is_certified
    return case


CASES = {o: case_of(o) for o in (Objective.THROUGHPUT, Objective.LATENCY, Objective.BATCH, Objective.PARETO)}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def changed(document: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    made = copy.deepcopy(document)
    parent = made
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return made


@given(st.sampled_from(list(CASES)), st.data())
@relaxed
def test_mutated_documents(objective: Objective, data: st.DataObject) -> None:
    case = CASES[objective]
    document = case.document
    for _ in range(data.draw(st.integers(1, 3))):
        top = data.draw(st.sampled_from(sorted(document)))
        path = data.draw(st.sampled_from([p for p in places(document) if p[0] == top]))
        document = changed(document, path, data.draw(st.sampled_from([_delete, _replace(data), _nudge(data), _double])))
        if not isinstance(document, dict) or not document:
            break
    report = case.check(document)
    assert report.steps[-1].text and (report.cuts is None) != report.is_certified


def _delete(parent: Any, key: Any) -> None:
    del parent[key]


def _double(parent: Any, key: Any) -> None:
    if isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))


def _replace(data: st.DataObject) -> Callable[[Any, Any], None]:
    value = data.draw(st.sampled_from(FOREIGN))
    return lambda parent, key: parent.__setitem__(key, value)


def _nudge(data: st.DataObject) -> Callable[[Any, Any], None]:
    step = data.draw(st.sampled_from([-1, 1, 10]))

    def change(parent: Any, key: Any) -> None:
        if isinstance(parent[key], int) and not isinstance(parent[key], bool):
            parent[key] += step

    return change


def test_costs_that_are_not_the_plans() -> None:
    """Each amount that the plan's stages have any use for is held against the plan."""
    case = CASES[Objective.THROUGHPUT]
    for k in range(len(case.problem.ops)):
        document = case.document
        document["problem"]["ops"][k]["compute_ns"] += 1
        document["problem"]["ops"][k]["streamed_ns"] += 1
        report = case.check(document)
        assert not report.is_certified and report.steps[-1].name == "costs"


@pytest.mark.parametrize(
    ("member", "value"), [("name", "another"), ("tpus", 2), ("capacity_bytes", 10**9), ("ops", "drop")]
)
def test_certificates_of_other_plans(member: str, value: Any) -> None:
    case = CASES[Objective.THROUGHPUT]
    document = case.document
    if value == "drop":
        document["problem"]["ops"].append(document["problem"]["ops"][-1])
    else:
        document["problem"][member] = value
    report = case.check(document)
    assert not report.is_certified and "another plan" in report.steps[-1].text


@pytest.mark.parametrize("constraint", ["max_latency_ns", "min_fps", "max_stages", "cut_before", "pins"])
def test_plans_that_break_what_was_asked_for(constraint: str) -> None:
    case = CASES[Objective.THROUGHPUT]
    first = case.plan.pipelines[0].stages
    broken: dict[str, Any] = {
        "max_latency_ns": 1,
        "min_fps": 1e9,
        "max_stages": max(1, len(first) - 1),
        "cut_before": [next(op for op in range(1, 6) if not any(s.first_op == op for s in first))],
        "pins": [[0, 2]],
    }
    if constraint == "max_stages" and len(first) == 1:
        pytest.skip("a plan of one stage has the fewest")
    document = case.document
    document["question"]["constraints"][constraint] = broken[constraint]
    report = case.check(document)
    assert not report.is_certified and report.steps[-1].name == "files"
    report = case.asked(**{constraint: broken[constraint]}).check(document)
    assert not report.is_certified and report.steps[-1].name == "plan"


TEXTS = {
    "empty": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "5",
    "nothing in it": "{}",
    "not a number": CASES[Objective.THROUGHPUT].text.replace('"constraints": {}', '"constraints": {"min_fps": NaN}'),
    "infinite": CASES[Objective.THROUGHPUT].text.replace('"constraints": {}', '"constraints": {"min_fps": 1e999}'),
    "deep": "[" * 100_000,
    "digits": '{"version": ' + "9" * 10_000 + "}",
    "other version": CASES[Objective.THROUGHPUT].text.replace('"version": 2', '"version": 3'),
    "lone surrogate": '{"format": "\\ud800"}',
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_that_are_no_certificate(kind: str) -> None:
    with pytest.raises(CertificateFault):
        parse(TEXTS[kind])


def test_a_certificate_that_proves_more_than_it_needs() -> None:
    """A potential may be smaller than it could be, as long as the claim still follows."""
    case = CASES[Objective.THROUGHPUT]
    document = case.document
    document["claims"].append(copy.deepcopy(document["claims"][0]))
    assert case.check(document).is_certified
    assert json.loads(case.text) == case.document
