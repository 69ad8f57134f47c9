"""Pareto fronts: few distinct points, any of them as the plan, all kept; and what can be had where limits cannot."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import segsolve
from generators.documents import device_toml
from segsolve.errors import ExitCode
from segsolve.search.front import spread
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.plan import load_plan

from .tool import document, error, inside


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device whose host never limits: there are no certificates of fronts where it does."""
    path = tmp_path_factory.mktemp("device") / "roomy.toml"
    path.write_text(device_toml("edgetpu-usb", {"host.serial": 0.0, "host.frame": 0.0}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def front(dense: Path, roomy: Path) -> segsolve.Answer:
    return segsolve.solve(dense, tpus=6, device=str(roomy), objective="pareto")


def test_few_points_lie_apart_and_hold_the_ends(front: segsolve.Answer) -> None:
    points = front.points
    assert len(points) > 4
    for most in range(1, len(points) + 2):
        shown = spread(points, most)
        assert len(shown) == min(most, len(points)) and shown == sorted(set(shown))
        rates = [points[k].score.rate for k in shown]
        assert max(rates) == max(point.score.rate for point in points)
        if most > 1:
            assert min(points[k].score.latency_ns for k in shown) == min(p.score.latency_ns for p in points)
        assert 2 in spread(points, most, [2])


def test_any_point_is_written_checked_and_reported(
    front: segsolve.Answer, dense: Path, roomy: Path, tmp_path: Path
) -> None:
    here = ("solve", dense, "--tpus", "6", "--device", roomy, "--objective", "pareto")
    for number in range(1, len(front.points) + 1):
        folder = tmp_path / str(number)
        done = inside(*here, "--pick", str(number), "-o", folder)
        assert done.code == ExitCode.OK, done.stderr
        solution = load_plan(folder).plan.solution
        assert [point.layout for point in solution.points] == [point.plan.layout for point in front.points]
        assert solution.point == number and solution.layout == front.points[number - 1].plan.layout
        assert inside("check", folder).code == ExitCode.OK
        page = tmp_path / "page.html"
        assert inside("report", folder, "-o", page).code == ExitCode.OK
        assert page.read_text().count("<title>point ") == len(front.points) and "this plan</text>" in page.read_text()


def test_a_plan_that_is_not_the_picked_point_is_not_certified(dense: Path, roomy: Path, tmp_path: Path) -> None:
    here = ("solve", dense, "--tpus", "6", "--device", roomy, "--objective", "pareto")
    assert inside(*here, "--pick", "2", "-o", tmp_path).code == 0
    plan, certificate = load_plan(tmp_path).plan, json.loads((tmp_path / "certificate.json").read_text())
    del certificate["binding"]
    (tmp_path / "certificate.json").write_text(json.dumps(certificate))
    for point in (1, 99, None):
        solution = plan.solution.model_copy(update={"point": point})
        altered = plan.model_copy(update={"solution": solution, "certificate_sha256": None})
        (tmp_path / "plan.json").write_text(digested_json(altered))
        error(inside("check", tmp_path), ExitCode.NOT_CERTIFIED)


def test_screen_and_json(front: segsolve.Answer, dense: Path, roomy: Path) -> None:
    args = ("solve", dense, "--tpus", "6", "--device", roomy, "--objective", "pareto")
    shown = inside(*args, "--points", "3").stdout
    assert len(re.findall(r"^ [> ] \d+ ", shown, re.MULTILINE)) == 3
    assert f"3 of {len(front.points)} points" in shown and "latency in ms" in shown
    found = document(inside(*args, "--points", "3", "--pick", "2", "--json").stdout)
    assert len(found["points"]) == len(front.points) and found["point"] == 2
    assert found["layout"] == front.points[1].plan.layout == found["points"][1]["layout"]


def test_a_notebook_shows_the_front(front: segsolve.Answer) -> None:
    assert front._repr_html_().count("<circle") == len(front.points)


def test_a_point_that_is_not_there(dense: Path) -> None:
    error(inside("solve", dense, "--tpus", "2", "--pick", "1"), ExitCode.USAGE, "--pick")
    front = ("solve", dense, "--tpus", "2", "--objective", "pareto", "--pick")
    error(inside(*front, "99"), ExitCode.USAGE, "--pick is 99")
    error(inside(*front, "0"), ExitCode.USAGE, "--pick is 0")


def test_a_limit_that_cannot_be_kept_says_what_can(dense: Path) -> None:
    least = segsolve.solve(dense, tpus=2, objective="latency").latency_ns
    most = segsolve.solve(dense, tpus=2).throughput_fps
    assert least is not None and most is not None
    done = inside("solve", dense, "--tpus", "2", "--max-latency", "0.1ms")
    error(done, ExitCode.NO_PLAN)
    assert f"the least latency is {least / 1e6:.2f} ms" in done.stderr
    done = inside("solve", dense, "--tpus", "2", "--min-fps", "1000000")
    error(done, ExitCode.NO_PLAN)
    assert f"the most is {most:.1f} inferences per second" in done.stderr
    done = inside("solve", dense, "--tpus", "2", "--min-fps", "1000000", "--max-latency", f"{least / 1e6 + 1}ms")
    assert "the most with the other constraints is" in done.stderr and "the least" not in done.stderr
