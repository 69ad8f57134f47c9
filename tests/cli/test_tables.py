"""Tables are made for people: 100 columns, plain in a pipe, nothing cut off, and grammatical."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from generators.problems import chain, op_cost
from segsolve.cli.console import fitted
from segsolve.comparison import compare
from segsolve.cost.plan import score_plan
from segsolve.device.model import device_names, load_device
from segsolve.errors import ExitCode
from segsolve.graph.read import read_model
from segsolve.plan.model import cut_at
from segsolve.profile.analytic import AnalyticCosts
from segsolve.report.grid import Grid
from segsolve.report.layouts import layouts_table
from segsolve.report.table import compare_table
from segsolve.report.units import count, million, ms, size
from segsolve.search.simple_layouts import Layout, layouts_beside
from segsolve.solvers.base import Status
from segsolve_runtime.contract.wording import exact_ms, hanging, percent

from ..models import Net
from .tool import Done, inside, run

TIMES = re.compile(r"\d+\.\d\d s\b")


def _good(done: Done, width: int = 100) -> None:
    assert done.code == ExitCode.OK, done.stderr
    for line in done.stdout.splitlines():
        assert len(line) <= width, line
        assert line == line.rstrip()
    assert "\x1b" not in done.stdout + done.stderr
    assert "…" not in done.stdout
    assert not re.search(r"\b1 \w+s\b(?! per)", done.stdout.replace("1 is", "")), "a plural of one"


@pytest.mark.parametrize("tpus", ["1", "2", "16", "100"])
def test_compare(tpus: str, mobilenet: Path) -> None:
    done = inside("compare", mobilenet, "--tpus", tpus)
    _good(done)
    assert "The optimum is proven" in done.stdout
    assert ("unused" in done.stdout) == (tpus in {"16", "100"})


@pytest.mark.parametrize("args", [("--tpus", "2"), ("--tpus", "1"), ("--tpus", "7", "--tpu-memory", "1MiB")])
def test_solve(args: tuple[str, ...], dense: Path) -> None:
    done = inside("solve", dense, *args)
    _good(done)
    assert "Proven optimal: found by" in done.stdout
    assert "CP-SAT: no pipeline" in done.stdout
    assert ("do not fit" in done.stdout or "does not fit" in done.stdout) == ("off chip" in done.stdout)


def test_plan_that_uses_fewer_tpus_says_so(models: Path) -> None:
    done = inside("solve", models / "one.tflite", "--tpus", "2", "--layout", "pipeline")
    _good(done)
    assert "Uses 1 of 2 TPUs" in done.stdout


def test_a_terminal_is_told_how_long_each_strategy_took_and_a_pipe_is_not(mobilenet: Path) -> None:
    args = ("compare", mobilenet, "--tpus", "2")
    assert "solved" in run(*args, FORCE_COLOR="1", COLUMNS="100").stdout
    first, second = inside(*args).stdout, inside(*args).stdout
    assert first == second and "solved" not in first


def test_comparison_without_any_plan(dense: Path) -> None:
    done = inside("compare", dense, "--tpus", "2", "--no-spill")
    assert done.code == ExitCode.NO_PLAN
    assert done.stdout.count("no plan\n") == 7
    assert "compiler: stage 1 cannot hold" in done.stdout
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


@pytest.mark.parametrize("args", [(), ("--ops",)])
def test_inspect(args: tuple[str, ...], mobilenet: Path) -> None:
    done = inside("inspect", mobilenet, *args)
    _good(done)
    assert done.stdout.startswith("mobilenet\n")


def test_names_that_look_like_markup(tmp_path: Path) -> None:
    net = Net()
    net.graph.tensors[net.input()].name = b"in[/red]put"
    path = net.write(tmp_path, net.conv(0), name="[red]net")
    text = inside("inspect", path, "--ops").stdout
    assert "[red]net" in text and "in[/red]put" in text
    assert "[red]net" in run("solve", path, "--tpus", "1", FORCE_COLOR="1", COLUMNS="100").stdout


def test_litert_says_nothing_of_itself(plan: Path) -> None:
    done = inside("run", plan, "--count", "1")
    assert done.code == ExitCode.OK and "INFO" not in done.stderr


@pytest.mark.parametrize("task", ["solving", "solving 2 models on edgetpu-m2:1,edgetpu-usb:1"])
@pytest.mark.parametrize("told", ["", ": best 14.38 ms, bound 13.63 ms, 20.1 s"])
def test_a_line_that_is_kept_up_to_date_is_one_line(task: str, told: str) -> None:
    for room in (20, 60, 120):
        line = fitted(task, told, room)
        assert len(line) <= max(room, len(told) + 1) and line.endswith(told)
        assert line == task + told or line == f"{task[: room - len(told) - 1]}…{told}" or room <= len(told)


def test_times_to_the_ns() -> None:
    assert exact_ms(1_069_075) == "1.069075 ms" and exact_ms(5) == "0.000005 ms"
    assert exact_ms(Fraction(2_071_009, 2)) == "1.035504500 ms"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_long_lines_end_between_words(width: int) -> None:
    text = "an operation is called model/block_3/depthwise-conv and runs on the host"
    lines = hanging("error: ", text, width).split("\n")
    assert " ".join(" ".join(lines).split()) == f"error: {text}"
    assert all(len(line) <= width or " " not in line.strip() for line in lines)
    assert hanging("", text, None) == text


def test_run_and_verify(plan: Path, net: Path) -> None:
    _good(inside("run", plan, "--backend", "simulated", "--count", "1"))
    _good(inside("verify", plan, net, "--inputs", "1"))


@pytest.mark.parametrize("command", ["zoo list", "devices"])
def test_lists(command: str) -> None:
    _good(inside(*command.split()))


def test_devices_stand_in_columns() -> None:
    lines = [line for line in inside("devices").stdout.splitlines() if line]
    header = next(line for line in lines if "what it is" in line)
    column, rows = header.index("what it is"), lines[lines.index(header) + 2 :][: len(device_names())]
    assert [row.split()[0] for row in rows] == list(device_names())
    assert {row[column - 1] for row in rows} == {" "}
    assert all(row[column] != " " for row in rows)


def test_same_output_from_run_to_run_but_for_times(net: Path) -> None:
    first, second = (TIMES.sub("", run("solve", net, "--tpus", "3").stdout) for _ in range(2))
    assert first == second


def test_colours_only_where_they_are_wanted(net: Path) -> None:
    assert "\x1b[" in run("inspect", net, FORCE_COLOR="1").stdout
    plain = run("compare", net, "--tpus", "2", FORCE_COLOR="1", NO_COLOR="1").stdout
    assert not re.search("\x1b\\[[0-9;]*3[0-7]", plain)  # bold may stay, colours may not


def test_encoding_without_bars(net: Path) -> None:
    done = run("compare", net, "--tpus", "2", PYTHONIOENCODING="ascii")
    assert done.code == ExitCode.OK
    assert "cpsat" in done.stdout


@pytest.mark.parametrize("tpus", [2, 16])
@pytest.mark.parametrize("width", [60, 80, 100])
def test_narrow_terminals_get_fewer_columns_not_cut_ones(width: int, tpus: int, mobilenet: Path) -> None:
    costs = AnalyticCosts(graph=read_model(mobilenet).graph, device=load_device("edgetpu-pcie"))
    comparison = compare(costs.problem(tpus=tpus), strategies=("compiler", "greedy", "dp"))
    console = Console(width=width, file=StringIO(), record=True)
    console.print(compare_table(comparison, "edgetpu-pcie", 15))
    text = console.export_text()
    assert "…" not in text
    assert "bottleneck" in text and "optimum" in text
    assert "fps" in text
    assert ("batch" in text) == (width == 100 and tpus == 2)


def test_grid_leaves_out_columns_in_the_given_order() -> None:
    grid = Grid("", "name", "long column", "other", optional=("other", "long column"))
    grid.add_row("a", "b", "c")
    grid.add_row("d")
    shown = []
    for width in (40, 22, 8):
        console = Console(width=width, force_terminal=False)
        with console.capture() as text:
            console.print(grid)
        shown.append(text.get().split("\n")[1].split())
    assert shown == [["name", "long", "column", "other"], ["name", "long", "column"], ["name"]]


def test_units() -> None:
    assert [count(n, "layer") for n in (0, 1, 2)] == ["0 layers", "1 layer", "2 layers"]
    assert [size(n) for n in (0, 1000, 2048, 2**20)] == ["0 B", "1000 B", "2.0 KiB", "1.00 MiB"]
    assert [percent(x) for x in (0, 1e-6, 0.25, 1.5, 20)] == ["0 %", "<0.1 %", "25.0 %", "150 %", "2,000 %"]
    assert [million(n) for n in (512, 3_400_000, 7_600_000_000)] == ["0.00051", "3.4", "7,600"]
    assert [ms(n) for n in (1e4, 12.3e6, 123.4e6, 12345e6)] == ["0.01", "12.30", "123.4", "12,345"]


@pytest.mark.parametrize("width", [45, 60, 80])
def test_names_are_cut_short_before_a_figure_is(width: int) -> None:
    table = Grid("", "#", "name", "first", "second", "third", names=("name",), optional=("third",))
    table.add_row("123", "a name that is much too long for any terminal " * 2, "12345.67", "1234.5", "0.123")
    text = StringIO()
    Console(file=text, width=width).print(table)
    shown = text.getvalue()
    assert all(figure in shown for figure in ("123 ", "12345.67", "1234.5")) and "…" in shown
    assert max(map(len, shown.splitlines())) <= width


def test_a_layout_cut_by_rule_is_told_from_the_best_of_the_same_form() -> None:
    problem = chain(*(op_cost(10 + n) for n in range(6)), tpus=2)
    found = layouts_beside(problem)
    other = cut_at((1,), 6)
    beside = replace(found, best=Layout(plan=other, score=score_plan(problem, other)))
    assert [layout.plan.layout for layout in beside.all].count("2") == 2
    console = Console(width=100, file=StringIO(), record=True)
    console.print(layouts_table(compare(problem, strategies=("dp",)), beside, 15))
    assert " 2 (chain) " in console.export_text()


def test_nothing_is_called_optimal_without_a_bound() -> None:
    problem = chain(*(op_cost(10 + n) for n in range(6)), tpus=2)
    found = layouts_beside(problem)
    unknown = replace(found, answer=replace(found.answer, status=Status.FEASIBLE, bound=Fraction(0)))
    for layouts, is_proven in ((found, True), (unknown, False)):
        console = Console(width=100, file=StringIO(), record=True)
        console.print(layouts_table(compare(problem, strategies=("dp",)), layouts, 15))
        table, _, verdict = console.export_text().partition("Layout ")
        assert (" optimal" in table, "over" in table and "bound" in table) == (is_proven, not is_proven)
        assert ("is proven" in verdict) is is_proven


@pytest.mark.parametrize("how", [("--cut-before", "1"), ("--cpus", "0")])
def test_a_stage_that_was_measured_as_a_whole_says_so(how: tuple[str, ...], tmp_path: Path) -> None:
    layers = [{"name": f"l{k}", "time_ns": 10**6, "param_bytes": 1000} for k in range(2)]
    ends: list[dict[str, str]] = [{"to": "l0"}, {"from": "l0", "to": "l1"}, {"from": "l1"}]
    document = {"format": "segsolve-profile", "version": 1, "device": {}, "layers": layers}
    document |= {"edges": [end | {"bytes": 1, "time_ns": 0} for end in ends]}
    path = tmp_path / "costs.json"
    for segments in [], [{"first_op": 0, "last_op": 0, "time_ns": 900_000}]:
        path.write_text(json.dumps(document | {"segments": segments}), encoding="utf-8")
        done = inside("solve", path, "--tpus", "2", *how)
        _good(done)
        said = "Measured as a whole, so that the time is not what its parts add up to: (stage|part) 0."
        assert bool(re.search(said, " ".join(done.stdout.split()))) == bool(segments)
