"""The library's functions do with pools what the commands do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

import segsolve
from segsolve.errors import UsageError
from segsolve.library.answer import Answer
from segsolve_runtime.contract.pool import PoolFolder

from ..cli.tool import document, inside
from .conftest import POOL


def test_solve_and_build(networks: list[Path], tmp_path: Path) -> None:
    solved = segsolve.solve(networks[0], pool=POOL)
    assert isinstance(solved, segsolve.SolvedPool)
    done = document(inside("solve", networks[0], "--pool", POOL, "--json", "-o", tmp_path / "other").stdout)
    assert done == solved.to_dict() | {name: done[name] for name in ("wall_s", "confirmed_by")}
    known = (solved.status, solved.period_ns, solved.objective_ns, solved.bound_ns, solved.gap, solved.found_by)
    names = ("status", "period_ns", "objective_ns", "bound_ns", "gap", "found_by")
    assert known == tuple(done[name] for name in names)
    (model,) = done["models"]
    assert solved.rates_fps == {model["name"]: model["rate_fps"]}
    assert solved.latencies_ns == {model["name"]: model["latency_ns"]}
    folder = segsolve.build(solved, tmp_path / "plan")
    assert isinstance(folder, PoolFolder)
    assert folder.pool.period_ns == solved.period_ns
    assert _certificate(tmp_path / "plan") == _certificate(tmp_path / "other")


def _certificate(folder: Path) -> object:
    found = document((folder / "certificate.json").read_text())
    return {name: value for name, value in found.items() if name != "binding"}  # with when it was made


def test_one_model_on_one_kind_is_the_plain_question(networks: list[Path]) -> None:
    pooled, plain = (
        segsolve.solve(networks[0], pool="edgetpu-usb:2"),
        segsolve.solve(networks[0], tpus=2, device="edgetpu-usb"),
    )
    assert isinstance(pooled, Answer)
    assert pooled.plan == plain.plan


def test_check_and_verify(shared: Path) -> None:
    said: list[str] = []
    report = segsolve.check(shared, lambda step: said.append(step.name))
    done = document(inside("check", shared, "--json").stdout)
    assert report.is_certified and done["certified"]
    assert said == [step["name"] for step in done["steps"]]
    verified = segsolve.verify(shared, inputs=1)
    done = document(inside("verify", shared, "--inputs", "1", "--json").stdout)
    assert isinstance(verified, dict)
    assert {name: {"identical": True, **asdict(each)} for name, each in verified.items()} == done


def test_compare(networks: list[Path]) -> None:
    weights = {networks[0].stem: 2, networks[2].stem: 1}
    rows = segsolve.compare(networks[::2], pool="edgetpu-m2:2", weights=weights, max_latency="1s")
    text = ",".join(f"{name}={weight}" for name, weight in weights.items())
    asked = ("--pool", "edgetpu-m2:2", "--weights", text, "--max-latency", "1s")
    done = document(inside("compare", *networks[::2], *asked, "--json").stdout)
    assert done["ways"] == rows
    assert "<table>" in rows._repr_html_()


def test_replan(shared: Path, networks: list[Path], tmp_path: Path) -> None:
    limits = segsolve.Limits(time_limit_s=5)
    solved = segsolve.replan(
        shared, lost=["edgetpu-usb:0"], model=networks[0].parent, into=tmp_path / "plan", limits=limits
    )
    assert solved.problem.pool.notation == "edgetpu-m2:1"
    assert segsolve.check(tmp_path / "plan").is_certified


def refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()


def test_what_makes_no_sense_is_said(shared: Path, networks: list[Path], tmp_path: Path) -> None:
    refused(lambda: segsolve.solve(networks, tpus=2), "need a --pool")  # type: ignore[call-overload]
    refused(lambda: segsolve.solve(networks[0], tpus=2, sharing="never"), "--sharing is of a pool")
    refused(lambda: segsolve.solve(networks, pool=POOL, layout="pipeline"), "--layout is not taken")
    refused(lambda: segsolve.compare(networks[0], tpus=2, max_latency="1s"), "--max-latency is for a --pool")
    refused(lambda: segsolve.verify(shared, networks[0]), "has several models")
    refused(lambda: segsolve.replan(shared, tpus=1), "without some of its devices")
    plain = segsolve.build(segsolve.solve(networks[0], tpus=1), tmp_path / "plain", verify=False)
    refused(lambda: segsolve.replan(plain.root, lost=["edgetpu-usb:0"]), "for a number of TPUs")
    none = segsolve.solve(networks[0], pool=POOL, max_latency="1us")
    assert (none.plan, none.period_ns) == (None, None)
    refused(lambda: segsolve.build(none, tmp_path / "none"), "no plan to write")
