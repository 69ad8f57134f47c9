"""README says what the program does: its tables and commands are held against the program."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import read_result
from benchmarks.readme import generated, render
from segsolve.errors import ExitCode
from segsolve.search.strategies import planner_names
from segsolve_runtime.contract import limits

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SEGSOLVE = Path(sys.executable).with_name("segsolve")


def commands() -> list[str]:
    """The command lines in README's indented blocks."""
    return [m[1].strip() for m in re.finditer(r"^    segsolve ([^#\n]*)", README, flags=re.MULTILINE)]


def test_every_exit_code_is_documented() -> None:
    documented = {int(m[1]) for m in re.finditer(r"^\| (\d+) \|", README, flags=re.MULTILINE)}
    assert documented == {int(code) for code in ExitCode}


def test_every_limit_is_documented() -> None:
    found = [value for value in vars(limits).values() if isinstance(value, limits.Limit)]
    assert len(found) == 6
    for limit in found:
        assert f"| `{limit.variable}` | {limit.usual} |" in README


def test_every_variable_of_the_environment_is_documented() -> None:
    sources = [path for part in ("solver/segsolve", "runtime/segsolve_runtime") for path in (ROOT / part).rglob("*.py")]
    texts = [path.read_text(encoding="utf-8") for path in sources]
    named = {m for text in texts for m in re.findall(r"""["']((?:SEGSOLVE|XDG)_[A-Z_]+[A-Z])["']""", text)}
    assert {"SEGSOLVE_LIBEDGETPU", "SEGSOLVE_MAX_PIXELS", "XDG_CONFIG_HOME"} <= named
    assert not [name for name in named if f"`{name}`" not in README and f"`{name}=" not in README]


def test_every_strategy_is_documented() -> None:
    documented = set(re.findall(r"^\| `([a-z]+)` \|", README, flags=re.MULTILINE))
    assert documented == set(planner_names())


def test_generated_tables_are_those_of_the_results() -> None:
    for path, blocks in generated().items():
        text = path.read_text(encoding="utf-8")
        assert render(text, blocks) == text, "run: python -m benchmarks.readme"


def test_figures_in_sentences_are_those_of_the_results() -> None:
    mutations, hostile = read_result("mutations")["models"], read_result("hostile")["kinds"]
    alike = [kind for name, kind in hostile.items() if kind["tried"] == 10_000 and name not in ("clients", "rpc")]
    equal, soak, serve = (read_result(name) for name in ("equal", "soak", "serve"))
    solve, batch = (read_result("kills")["commands"][name] for name in ("solve", "batch"))
    interrupted = read_result("interruptions")["commands"].values()
    early = sum(each["outcomes"].get("interrupted while Python itself starts", 0) for each in interrupted)
    words = " ".join(README.split())
    for said in (
        f"{mutations['read']['tried']:,} mutated models were read (`mutations`), {mutations['run']['tried']:,} verif",
        f"{sum(len(kind['mended']) for kind in alike)} were not before the faults that they showed were mended",
        f"real models under {equal['plans']} plans",
        f"a million inferences with {sum(soak['with_faults']['faults'].values())} faults",
        f"in memory that grew by {soak['with_faults']['memory_growth_mib']} MiB (`soak`)",
        f"{serve['answered']:,} requests of 1,000 clients",
        f"while stages raised {serve['faults']['raised']:,} times",
        f"the old plan {solve['outcomes']['left: old']} times and the new one {solve['outcomes']['left: new']} times",
        f"after {batch['outcomes']['killed']} kills of `batch`, and {batch['outcomes']['ended with 8']} writes",
        f"Of {sum(each['times'] for each in interrupted)} interruptions of {len(interrupted)} commands",
        f"(`interruptions`) {early} met Python itself",
    ):
        assert said in words


@pytest.mark.parametrize("command", sorted({line.split(" --")[0] for line in commands()}))
def test_commands_in_readme_exist_with_their_options(command: str) -> None:
    words = [w for w in command.split() if re.fullmatch(r"[a-z]+", w)]
    group = words[:2] if words[0] == "zoo" else words[:1]
    helptext = subprocess.run(
        [SEGSOLVE, *group, "--help"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    options = {
        o for line in commands() if line.startswith(command) for o in re.findall(r"(?<!\S)--?[a-z][a-z-]*", line)
    }
    assert all(option in helptext for option in options)


def test_imports_in_readme_work() -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    first = block.splitlines()[0]
    subprocess.run([sys.executable, "-c", first], check=True, timeout=120)


def advised() -> set[tuple[str, str]]:
    """The commands with options that hints and reports name."""
    sources = [p for root in ("solver", "runtime") for p in (ROOT / root).rglob("*") if p.suffix in {".py", ".j2"}]
    named = (
        m for p in sources for m in re.finditer(r"segsolve ([a-z]+)[^`\"'<]*?((?: --[a-z-]+[^`\"'<]*)+)", p.read_text())
    )
    return {(m[1], option) for m in named for option in re.findall(r"--[a-z-]+", m[2])}


@pytest.mark.parametrize(("command", "option"), sorted(advised()))
def test_what_a_hint_advises_exists(command: str, option: str) -> None:
    done = subprocess.run([SEGSOLVE, command, "--help"], capture_output=True, text=True, check=True, timeout=120)
    assert re.search(rf"(?<!\S){option}(?![a-z-])", done.stdout)
