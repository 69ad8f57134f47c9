"""Folders of older releases, a case that was once certified and is wrong, schemas, and what no one should read."""

from __future__ import annotations

import json
import os
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from segsolve.checker.check import Report, check_folder
from segsolve.checker.document import CERTIFICATE_FILE
from segsolve.cli.schema import file_schema
from segsolve_runtime.contract.plan import load_plan
from segsolve_runtime.contract.wording import exact_ms

from ..shared import MODELS
from .folders import QUESTIONS, branching_net, documents, make_folder

SAMPLES = Path(__file__).parent / "samples"
"""Written by the release before plan and certificate were bound to each other."""


def checked(folder: Path) -> Report:
    return check_folder(load_plan(folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_folder(tmp_path / "plan", branching_net().load(tmp_path), "pareto")
    return tmp_path / "plan"


@pytest.mark.parametrize("name", ["throughput", "latency", "pareto"])
def test_older_folders_are_checked_as_far_as_they_go(name: str) -> None:
    report = checked(SAMPLES / name)
    assert report.verdict is not None and not report.verdict.is_bound
    assert "no hash ties the certificate" in str(report.verdict)
    assert ("other points" in str(report.verdict)) == (name == "pareto")
    schema = jsonschema.Draft202012Validator(file_schema("certificate"))
    schema.validate(json.loads((SAMPLES / name / CERTIFICATE_FILE).read_text()))


def test_older_folders_are_compared_too(tmp_path: Path) -> None:
    for name, other in (("throughput", "latency"), ("latency", "pareto"), ("pareto", "throughput")):
        shutil.copytree(SAMPLES / name, tmp_path / name)
        shutil.copy(SAMPLES / other / CERTIFICATE_FILE, tmp_path / name)
        assert not checked(tmp_path / name).is_certified


def test_hashes_cannot_be_left_away_on_one_side(folder: Path) -> None:
    held = documents(folder)
    (folder / CERTIFICATE_FILE).write_text(json.dumps(held.certificate | {"binding": None}))
    assert "is not the one" in checked(folder).steps[-1].text
    held.write(folder, binds=False)
    report = checked(folder)
    assert report.verdict is not None and "no hash ties" in str(report.verdict)
    (folder / CERTIFICATE_FILE).write_text(json.dumps(held.certificate))
    assert "is not the one" in checked(folder).steps[-1].text


def test_a_plan_that_calls_the_best_of_its_order_optimal(tmp_path: Path) -> None:
    """Refused where plan and certificate are bound; older releases meant no more than that by it."""
    make_folder(tmp_path / "plan", branching_net().load(tmp_path), "best of its order")
    held = documents(tmp_path / "plan")
    solution = held.plan["solution"]
    report = checked(tmp_path / "plan")
    assert report.verdict is not None and str(report.verdict).startswith(
        "the best over the cuts of the execution order"
    )
    bound = exact_ms(solution["bound_ns"])
    assert f"its bound of {bound} over other cuts of the graph was not checked" in str(report.verdict)
    optimal = {
        "status": "optimal",
        "bound_ns": solution["objective_ns"],
        "gap": 0.0,
        "cuts": "chain",
        "best_over": None,
    }
    solution.update(optimal)
    held.write(tmp_path / "plan")
    assert "only the best of its execution order" in checked(tmp_path / "plan").steps[-1].text
    held.write(tmp_path / "plan", binds=False)
    assert "nothing is said of other cuts" in str(checked(tmp_path / "plan").verdict)
    solution.update(cuts="dag")
    held.write(tmp_path / "plan", binds=False)
    assert "speaks of all cuts of the graph" in checked(tmp_path / "plan").steps[-1].text


def test_a_bound_that_the_least_work_confirms(tmp_path: Path) -> None:
    make_folder(tmp_path / "plan", branching_net().load(tmp_path), "best of its order")
    held = documents(tmp_path / "plan")
    problem, solution = held.certificate["problem"], held.plan["solution"]
    work = problem["overhead_ns"] + sum(op["compute_ns"] for op in problem["ops"])  # and at least that
    top, bottom = held.certificate["value"]
    bound = work // problem["tpus"]
    solution.update(bound_ns=bound, gap=1 - bound * bottom / top)
    held.write(tmp_path / "plan")
    said = str(checked(tmp_path / "plan").verdict)
    assert f"over all cuts of the graph none takes less than {exact_ms(bound)}" in said
    solution.update(gap=0.5)
    held.write(tmp_path / "plan")
    assert "the gap of 0.5" in checked(tmp_path / "plan").steps[-1].text


@pytest.mark.parametrize("kind", QUESTIONS)
def test_certificates_fit_their_schema(kind: str, tmp_path: Path) -> None:
    make_folder(tmp_path / "plan", branching_net().load(tmp_path), kind)
    schema = json.loads(files("segsolve.checker").joinpath("certificate.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = json.loads((tmp_path / "plan" / CERTIFICATE_FILE).read_text())
    validator.validate(document)
    for member in ("problem", "question", "states", "claims", "value"):
        assert not validator.is_valid({k: v for k, v in document.items() if k != member})
    assert not validator.is_valid(document | {"version": 3})
    assert not validator.is_valid(document | {"extra": 1})


def test_the_published_schema_is_that_of_the_code() -> None:
    published = files("segsolve.checker").joinpath("certificate.schema.json").read_text(encoding="utf-8")
    assert published == json.dumps(file_schema("certificate"), indent=2) + "\n"


HOSTILE: dict[str, Any] = {
    "lone surrogate": lambda d: d["problem"]["ops"][0].update(name="\ud800"),
    "surrogate as a member": lambda d: d.update({"\udcff": 1}),
    "long name": lambda d: d["problem"]["ops"][0].update(name="n" * 5000),
    "long member": lambda d: d.update({"n" * 5000: 1}),
    "1e308 ns": lambda d: d["problem"]["ops"][0].update(compute_ns=1e308),
    "2^63 ns": lambda d: d["problem"]["ops"][0].update(compute_ns=2**63),
    "10^400": lambda d: d["value"].__setitem__(0, 10**400),
    "2^31 TPUs": lambda d: d["problem"].update(tpus=2**31),
    "a state that is not there": lambda d: d["plans"][0][0].__setitem__(0, [2**19, 1]),
    "a way back": lambda d: d["plans"][0][0].insert(0, d["plans"][0][0][-1]),
    "2^31 replicas": lambda d: d["plans"][0][0].__setitem__(0, [1, 2**31]),
    "plans that are none": lambda d: d.update(plans=[[[]]]),
    "fewer plans": lambda d: d["plans"].pop(),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_certificates_end_in_a_sentence(kind: str, folder: Path) -> None:
    held = documents(folder)
    HOSTILE[kind](held.certificate)
    held.write(folder)
    report = checked(folder)
    said = report.steps[-1].text
    assert "\n" not in said and len(said) < 1000 and said.encode().decode() == said
    assert not report.is_certified or "name" in kind or "surrogate" in kind


def test_a_certificate_that_no_one_should_read(folder: Path) -> None:
    path = folder / CERTIFICATE_FILE
    with path.open("ab") as stream:
        stream.truncate(2**31)  # a hole, which takes no room
    assert "larger than 256 MiB" in checked(folder).steps[-1].text
    path.unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
        assert "not a regular file" in checked(folder).steps[-1].text


def test_the_plan_whose_question_was_stripped() -> None:
    case = MODELS.parent / "cases" / "files" / "check_question_stripped"
    if not case.is_dir():
        pytest.skip("no shared cases")
    report = checked(case)
    assert not report.is_certified and "asked something else" in report.steps[-1].text
