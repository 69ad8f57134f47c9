"""`segsolve check` on plan folders: it certifies, refuses with a sentence, and never ends with a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segsolve.errors import ExitCode

from ..checker.folders import documents
from .tool import document, error, has_hint, inside, run

CERTIFICATE = "certificate.json"


@pytest.fixture(scope="module")
def proven(net: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plan with its certificate."""
    folder = tmp_path_factory.mktemp("proven") / "plan"
    assert run("solve", net, "--tpus", "2", "--no-verify", "-o", folder).code == ExitCode.OK
    return folder


QUESTIONS = (
    "--objective latency",
    "--objective batch --batch 7 --device ROOMY",
    "--objective devices --min-fps 50",
    "--objective pareto --device ROOMY",
    "--layout pipeline",
    "--layout pipeline --cuts chain --planner dp",
    "--max-stages 2 --cut-before 5 --keep-together 1,2",
    "--device edgetpu-usb-hub --cuts dag",
)


@pytest.mark.parametrize("question", QUESTIONS)
def test_whatever_was_asked(question: str, net: Path, roomy: Path, tmp_path: Path) -> None:
    asked = question.replace("ROOMY", str(roomy)).split()
    assert inside("solve", net, "--tpus", "3", "--no-verify", "-o", tmp_path, *asked).code == ExitCode.OK
    done = inside("check", tmp_path)
    assert (done.code, done.stderr) == (ExitCode.OK, "")


def test_a_proven_plan_is_certified(proven: Path) -> None:
    done = run("check", proven)
    assert (done.code, done.stderr) == (ExitCode.OK, "")
    *steps, verdict = done.stdout.splitlines()
    assert [line.split()[:2] for line in steps] == [
        ["ok", name] for name in ("files", "plan", "costs", "states", "claims", "optimum")
    ]
    assert verdict.startswith("certified: ")


def test_json(proven: Path) -> None:
    found = document(inside("check", proven, "--json").stdout)
    assert found["certified"] is True and found["cuts"] in ("chain", "dag")
    assert [step["ok"] for step in found["steps"]] == [True] * 6


def test_the_verdict_says_what_it_holds_for(net: Path, tmp_path: Path) -> None:
    asked = "--objective latency --layout pipeline --max-stages 2 --cut-before 5 --min-fps 10"
    kept = asked.split()
    assert inside("solve", net, "--tpus", "3", "--no-verify", "-o", tmp_path, *kept).code == ExitCode.OK
    *_, optimum, verdict = inside("check", tmp_path).stdout.splitlines()
    assert "pipeline with one TPU per stage of up to 3 TPUs that keeps what was asked for has a latency" in optimum
    assert verdict.startswith("certified: optimal over all cuts of the graph, among plans with stages that begin at ")
    found = document(inside("check", tmp_path, "--json").stdout)
    assert found["optimal"] is True and found["bound_by_hashes"] is True and found["limits"] == []
    assert found["constraints"] == [
        "with stages that begin at operation 5",
        "whose pipelines have at most 2 stages",
        "that make at least 10.0 inferences per second",
    ]
    assert found["verdict"] == verdict.removeprefix("certified: ") and found["claim"] in optimum


def _without_question(plan: dict[str, Any]) -> None:
    plan["solution"].pop("question")


def _without_constraints(plan: dict[str, Any]) -> None:
    plan["solution"]["question"].update(layout="any", max_stages=None, cut_before=[])


@pytest.mark.parametrize("strip", [_without_question, _without_constraints])
@pytest.mark.parametrize("binds", [False, True])
def test_a_plan_whose_question_was_stripped(
    strip: Callable[[dict[str, Any]], None], binds: bool, net: Path, tmp_path: Path
) -> None:
    """Also by whoever makes all hashes anew, or leaves them away as older releases did."""
    kept = ["--layout", "pipeline", "--max-stages", "2", "--cut-before", "5"]
    assert inside("solve", net, "--tpus", "3", "--no-verify", "-o", tmp_path, *kept).code == ExitCode.OK
    found = documents(tmp_path)
    strip(found.plan)
    found.write(tmp_path, binds=binds)
    error(inside("check", tmp_path), ExitCode.NOT_CERTIFIED, "asked")


def test_plan_json_may_be_named(proven: Path) -> None:
    assert inside("check", proven / "plan.json").code == ExitCode.OK


def test_a_plan_without_a_certificate(plan: Path, proven: Path, tmp_path: Path) -> None:
    done = inside("check", plan)
    error(done, ExitCode.NO_CERTIFICATE, "does not claim to be optimal")
    copy = tmp_path / "copy"
    shutil.copytree(proven, copy)
    (copy / CERTIFICATE).unlink()
    error(inside("check", copy), ExitCode.NO_CERTIFICATE, "the solver's word")


def _edited(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    def edit(file: Path) -> None:
        found = json.loads(file.read_text())
        change(found)
        file.write_text(json.dumps(found))

    return edit


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


TAMPERED: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: file.write_text(""),
    "a list": lambda file: file.write_text("[]"),
    "not text": lambda file: file.write_bytes(b"\xff\xfe"),
    "truncated": lambda file: file.write_text(file.read_text()[:-40]),
    "no claims": _edited(lambda found: found.update(claims=[])),
    "no problem": _edited(lambda found: found.pop("problem")),
    "other value": _edited(lambda found: found.update(value=[1, 1])),
    "a folder": _folder,
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered_certificates(kind: str, proven: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(proven, copy)
    TAMPERED[kind](copy / CERTIFICATE)
    done = inside("check", copy)
    error(done, ExitCode.NOT_CERTIFIED, "not certified")
    assert has_hint(done) and done.stdout.splitlines()[-1].startswith("failed ")
    found = document(inside("check", copy, "--json").stdout)
    assert found["certified"] is False and found["steps"][-1]["ok"] is False


def test_a_tampered_plan(proven: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(proven, copy)
    file = copy / "plan.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1', 1))
    error(inside("check", copy), ExitCode.BAD_PLAN, "altered")
