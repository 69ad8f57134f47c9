"""The recipes of the solver's README hold: a copy of the sources is changed as they say, and the addition is used.

The copy is run as processes, so that what is imported is the copy.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest

from generators.documents import device_toml
from segsolve.errors import ExitCode

ROOT = Path(__file__).parents[1]
RECIPES = (ROOT / "solver" / "README.md").read_text(encoding="utf-8").split("## Where to add things")[1]
_RUN = "from segsolve.cli.main import run; run()"


class Tree:
    """A copy of the sources that may be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in ("solver", "runtime"):
            copytree(ROOT / part, folder / part, ignore=ignore_patterns("__pycache__"))

    def add(self, name: str, text: str) -> None:
        """Add a file to the package, where a recipe says that such files go."""
        path = self._in_recipe(name, parent=True)
        assert not path.exists()
        path.write_text(text, encoding="utf-8")

    def insert(self, name: str, before: str, text: str) -> None:
        """Put lines into a file that a recipe names, before a line of it."""
        path = self._in_recipe(name)
        known = path.read_text(encoding="utf-8")
        assert known.count(f"{before}\n") == 1, f"{name} has no line {before!r} any more: change this test"
        path.write_text(known.replace(f"{before}\n", f"{text}\n{before}\n"), encoding="utf-8")

    def segsolve(self, *args: str | Path, code: ExitCode = ExitCode.OK) -> str:
        """Run a command of the copy and return what it printed."""
        paths = os.pathsep.join(str(self.folder / part) for part in ("solver", "runtime"))
        done = subprocess.run(
            [sys.executable, "-c", _RUN, *args],
            env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def json(self, *args: str | Path) -> Any:
        return json.loads(self.segsolve(*args, "--json"))

    def _in_recipe(self, name: str, *, parent: bool = False) -> Path:
        named = f"{Path(name).parent}/" if parent else name
        assert f"`{named}`" in RECIPES, f"no recipe names {named}"
        return self.folder / "solver" / "segsolve" / name


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


NETWORK = '''
"""A network that nobody knows yet."""

from segsolve.zoo.builder import Builder
from segsolve.zoo.steps import Value


def novel(net: Builder) -> Value:
    """Draw it: two branches and their sum."""
    x = net.conv("stem", net.input(16, 16, 3), 64, 3, activation="RELU")
    left = net.conv("left", x, 64, 3, activation="RELU")
    right = net.conv("right", x, 64, 1, activation="RELU")
    return net.softmax("class", net.dense("logits", net.global_mean("mean", net.add("sum", left, right)), 10))
'''
ENTRY = """    Network(
        name="novelnet",
        family="Novel",
        title="A novel network",
        input_shape=(16, 16, 3),
        params=43_594,
        macs=12_000_000,
        source="counted from the layers",
        build=novel.novel,
    ),"""


@pytest.fixture
def with_network(tree: Tree) -> Tree:
    tree.add("zoo/novel.py", NETWORK)
    tree.insert("zoo/catalogue.py", "    resnet,", "    novel,")
    tree.insert("zoo/catalogue.py", "    _synthetic_conv(512),", ENTRY)
    return tree


def test_a_network(with_network: Tree) -> None:
    tree = with_network
    (listed,) = [n for n in tree.json("zoo", "list")["networks"] if n["name"] == "novelnet"]
    assert (listed["operations"], listed["fits_one_tpu"]) == (7, True)
    assert "novelnet" in tree.segsolve("zoo", "list")
    tree.segsolve("zoo", "build", "novelnet")
    assert tree.json("solve", "novelnet.tflite", "--tpus", "2")["status"] == "optimal"
    assert "novelnet" in tree.segsolve("compare", "novelnet.tflite", "--tpus", "2")
    tree.segsolve("batch", "novelnet", "--tpus", "2", "--planners", "dp,layouts", "-o", "batch")
    tree.segsolve("report", "batch", "-o", "batch.html")
    assert "novelnet" in (tree.folder / "batch.html").read_text(encoding="utf-8")


STRATEGY = '''
"""Everything but the last possible stage on one TPU."""

from __future__ import annotations

from segsolve.problem import Problem
from segsolve.search.base import Heuristic


def segment(problem: Problem) -> tuple[int, ...]:
    """Cut at the last legal position."""
    return problem.cuts[-1:] if problem.tpus > 1 else ()


PLANNER = Heuristic("hasty", segment)
'''


def test_a_strategy(with_network: Tree) -> None:
    """It is compared, batched and reported under the name and with the rule of its entry."""
    tree = with_network
    tree.add("search/baselines/hasty.py", STRATEGY)
    entry = '    Strategy(name="hasty", title="In haste", rule="cuts once, as late as can be"),'
    tree.insert(
        "search/strategies.py",
        '    Strategy(name="uniform", title="Uniform", rule="gives every TPU the same number of operations"),',
        entry,
    )
    tree.segsolve("zoo", "build", "novelnet")
    assert tree.json("solve", "novelnet.tflite", "--tpus", "2", "--planner", "hasty")["cuts"] == [6]
    compared = tree.json("compare", "novelnet.tflite", "--tpus", "2")["strategies"]
    assert [s["cuts"] for s in compared if s["planner"] == "hasty"] == [[6]]
    assert re.search(r"hasty", tree.segsolve("compare", "novelnet.tflite", "--tpus", "2"))
    tree.segsolve("solve", "novelnet.tflite", "--tpus", "2", "--no-verify", "-o", "plan")
    tree.segsolve("report", "plan", "--model", "novelnet.tflite", "-o", "plan.html")
    page = (tree.folder / "plan.html").read_text(encoding="utf-8")
    assert "In haste" in page and "cuts once, as late as can be" in page
    tree.segsolve("batch", "novelnet.tflite", "--tpus", "2", "-o", "batch")
    summary = json.loads((tree.folder / "batch" / "summary.json").read_text(encoding="utf-8"))
    assert "hasty" in {versus["baseline"] for versus in summary["versus"]}
    tree.segsolve("report", "batch", "-o", "batch.html")
    assert "In haste" in (tree.folder / "batch.html").read_text(encoding="utf-8")


def test_a_device(with_network: Tree) -> None:
    """A description in the catalogue is known by its name to every command."""
    tree = with_network
    tree.add(
        "device/catalogue/generated.toml",
        device_toml(
            "edgetpu-usb", {"memory.onchip": 0.2, "time.invocation": 0.0, "host.serial": 0.0, "host.frame": 0.0}
        ),
    )
    assert "generated" in tree.segsolve("devices")
    tree.segsolve("zoo", "build", "novelnet")
    here = ("novelnet.tflite", "--tpus", "2", "--device", "generated")
    found = tree.json("solve", *here)
    assert found["status"] == "optimal"
    assert found["objective_ns"] != tree.json("solve", *here[:3])["objective_ns"]
    tree.segsolve("solve", *here, "--no-verify", "-o", "plan")
    tree.segsolve("check", "plan")
    assert "generated" in tree.segsolve("compare", *here)
    tree.segsolve("report", "plan", "--model", "novelnet.tflite", "-o", "plan.html")
    assert "Generated for a test" in (tree.folder / "plan.html").read_text(encoding="utf-8")
    tree.segsolve(
        "batch", "novelnet.tflite", "--tpus", "2", "--devices", "generated", "--planners", "dp", "-o", "batch"
    )


CONSTRAINT = '''
"""The fewest operations of a stage."""

from __future__ import annotations

from dataclasses import dataclass

from segsolve.question.constraint import Constraint, Option
from segsolve.values import within


@dataclass(frozen=True)
class MinOps(Constraint):
    """No stage has fewer than `value` operations."""

    value: int

    key = "min_ops"
    option = Option(flag="--min-ops", help="Fewest operations of a stage.", type=int)

    @classmethod
    def asked(cls, given, problem):
        """Return a number that makes sense."""
        within("--min-ops", given, 1)
        return given

    @property
    def words(self):
        """What is asked."""
        yield f"at least {self.value} operations in a stage"

    def allowed(self, table):
        """Leave the stages that are long enough."""
        done = table.members.sum(axis=1)
        yield done[None, :] - done[:, None] >= self.value

    def is_kept_by(self, pipeline):
        """Whether they are."""
        return all(len(stage.ops) >= self.value for stage in pipeline.stages)
'''
CHECKED_CONSTRAINT = '''
"""The fewest operations of a stage."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from segsolve.checker.constraint import Constraint, Count


@dataclass(frozen=True)
class MinOps(Constraint):
    """No stage has fewer than `value` operations."""

    value: int

    key = "min_ops"
    form = Count

    @property
    def words(self):
        """What is asked."""
        yield f"whose stages have at least {self.value} operations"

    def broken(self, at):
        """Yield the stages that are too short."""
        yield from (f"stage {k} is too short" for k, n in Counter(at.values()).items() if n < self.value)

    def masks(self, members):
        """Leave the stages that are long enough."""
        done = members.sum(axis=1)
        yield lambda row, columns: done[columns] - done[row] >= self.value
'''


def test_a_constraint(with_network: Tree) -> None:
    """It is an option, keeps plans from being found, is recorded, told, and checked."""
    tree = with_network
    tree.add("question/constraints/min_ops.py", CONSTRAINT)
    tree.add("checker/constraints/min_ops.py", CHECKED_CONSTRAINT)
    tree.segsolve("zoo", "build", "novelnet")
    here = ("novelnet.tflite", "--tpus", "2", "--layout", "pipeline", "--tpu-memory", "32KiB")
    assert "--min-ops" in tree.segsolve("solve", "--help")
    found = tree.json("solve", *here, "--min-ops", "3")
    assert found["status"] == "optimal" and "cp-sat" in {c["by"] for c in found["confirmed_by"]}
    assert all(stage["last_op"] - stage["first_op"] >= 2 for stage in found["stages"])
    tree.segsolve("solve", *here, "--min-ops", "5", "--cut-before", "3", code=ExitCode.NO_PLAN)
    tree.segsolve("solve", *here, "--min-ops", "3", "--no-verify", "-o", "plan")
    assert json.loads((tree.folder / "plan" / "plan.json").read_text())["solution"]["question"]["min_ops"] == 3
    assert "whose stages have at least 3 operations" in tree.segsolve("check", "plan")
    tree.segsolve("report", "plan", "--model", "novelnet.tflite", "-o", "plan.html")
    assert "at least 3 operations in a stage" in (tree.folder / "plan.html").read_text(encoding="utf-8")


OBJECTIVE = '''
"""The sum of latency and time per inference."""

from __future__ import annotations

from fractions import Fraction

from segsolve.search.claims import corners
from segsolve.search.objectives.base import Aim, choices, latencies
from segsolve.solvers.dynamic.mix import mixes


class Slack(Aim):
    """In ns."""

    def words(self, question):
        """Return them."""
        return "the least latency and time per inference together"

    def value(self, question, plan, score):
        """Return the ns."""
        return score.latency_ns + 1 / score.rate

    def least(self, question, work_ns, tpus):
        """Return what both are at least."""
        return work_ns + work_ns / tpus

    def answer(self, asked):
        """Try all latencies that pipelines can have."""
        tried = []
        for limit in latencies(asked.pipelines):
            bottlenecks = asked.pipelines.within(limit)
            mix = mixes(bottlenecks, asked.problem.tpus, single=asked.is_single)[asked.problem.tpus]
            if mix.rate > 0 and asked.constraints.allow_rate(mix.rate):
                tried.append(asked.preferred(choices(mix, bottlenecks)))
        if not tried:
            return asked.nothing(is_claimed=not asked.has_pipelines)
        plan, score = min(tried, key=lambda one: asked.value_of(*one))
        return asked.best(plan, score, asked.value_of(plan, score))

    def claims(self, pipelines, question, value):
        """Return the fronts of bottleneck and latency."""
        return corners(pipelines, pipelines.fronts, "latency")
'''
CHECKED_OBJECTIVE = '''
"""The sum of latency and time per inference."""

from __future__ import annotations

from fractions import Fraction

from segsolve.checker.bounds import corners, most_rate
from segsolve.checker.objective import Objective, layout, leaves_room
from segsolve_runtime.contract.wording import exact_ms


class Slack(Objective):
    """In ns."""

    def value(self, found, certificate):
        """Return the ns."""
        return found.latency_ns + 1 / found.rate

    def least(self, certificate, work_ns):
        """Return what both are at least."""
        return work_ns + work_ns / certificate.problem.tpus

    def prove(self, certificate):
        """Return it, as `Objective` says."""
        value = Fraction(*certificate.value)
        steps = corners(certificate.claims, "latency", tpus=certificate.problem.tpus, latency_ns=None)
        for latency in sorted({latency for step in steps for _, latency in step}):
            floors = [min((b for b, l in step if l <= latency), default=None) for step in steps]
            rate = most_rate(floors, single=certificate.question.layout == "pipeline")[-1]
            if rate and latency + 1 / rate < value:
                leaves_room(certificate, f"the claims leave room for {exact_ms(latency + 1 / rate)}")
        return f"no {layout(certificate)} has less than {exact_ms(value)} of both"
'''


def test_an_objective(with_network: Tree) -> None:
    """It is asked for by its name, proven, recorded, told and checked."""
    tree = with_network
    tree.insert("question/question.py", '    PARETO = "pareto"', '    SLACK = "slack"')
    tree.add("search/objectives/slack.py", OBJECTIVE)
    tree.add("checker/objectives/slack.py", CHECKED_OBJECTIVE)
    tree.segsolve("zoo", "build", "novelnet")
    (tree.folder / "roomy.toml").write_text(
        device_toml("edgetpu-usb", {"host.serial": 0.0, "host.frame": 0.0}), encoding="utf-8"
    )
    roomy = ("--device", "roomy.toml", "--tpu-memory", "32KiB")
    here = ("novelnet.tflite", "--tpus", "3", "--objective", "slack", *roomy)
    found = tree.json("solve", *here)
    assert (found["status"], found["objective"]) == ("optimal", "slack")
    assert {"evaluator", "cp-sat", "certificate"} <= {c["by"] for c in found["confirmed_by"]}
    for other in ("throughput", "latency"):
        one = tree.json("solve", *here[:3], "--objective", other, *here[5:])
        assert one["latency_ns"] + 1e9 / one["throughput_fps"] >= found["objective_ns"] - 1
    tree.segsolve("solve", *here, "--no-verify", "-o", "plan")
    assert "ms of both" in tree.segsolve("check", "plan")
    tree.segsolve("report", "plan", "--model", "novelnet.tflite", "-o", "plan.html")
    page = (tree.folder / "plan.html").read_text(encoding="utf-8")
    assert "the least latency and time per inference together" in page
