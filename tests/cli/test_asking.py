"""Questions that make no sense are refused before any work, with one sentence that names the options."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators.documents import write
from segsolve.errors import ExitCode

from .test_graph import graph
from .tool import error, has_hint, inside

SENSELESS = [
    ("--objective devices", "fewest devices for what"),
    ("--objective batch --min-fps 5", "--min-fps means nothing to a batch"),
    ("--objective batch --batch 0", "--batch is 0"),
    ("--min-fps 0", "--min-fps is 0"),
    ("--min-fps nan", "--min-fps is nan"),
    ("--max-latency soon", "--max-latency is 'soon'"),
    ("--max-latency 0", "--max-latency in ns is 0"),
    ("--max-stages 0", "--max-stages is 0"),
    ("--planner greedy --objective latency", "only cuts one pipeline"),
    ("--planner greedy --cut-before 5", "only cuts one pipeline"),
    ("--planner greedy --cuts dag", "cuts the execution order only"),
    ("--planner magic --objective latency", "magic"),
    ("--cut-before nothing", "no operation is called 'nothing'"),
    ("--no-cut-before 99", "there is no operation 99"),
    ("--pin 5", "--pin is '5'"),
    ("--pin 5=one", "--pin is '5=one'"),
    ("--pin nothing=0", "no operation is called 'nothing'"),
    ("--keep-together 5", "--keep-together is '5'"),
    ("--keep-together 5,nothing", "no operation is called 'nothing'"),
    ("--cut-before 5 --no-cut-before 5", "is to begin a stage and is not to"),
    ("--no-cut-before 0", "--no-cut-before is 0"),
    ("--cut-before 4 --cut-before 5 --cut-before 6", "asks for 4 stages at least, there are 3 at most"),
    ("--cut-before 4 --max-stages 1", "asks for 2 stages at least, there are 1 at most"),
    ("--pin 5=0 --pin 5=1", "operation 5 in stage 0 and in stage 1"),
    ("--pin 5=3", "operation 5 in stage 3, the last of 3 is stage 2"),
    ("--pin 5=1 --max-stages 1", "operation 5 in stage 1, the last of 1 is stage 0"),
    ("--pin 3=0 --pin 7=1 --keep-together 3,5 --keep-together 5,7", "operations 3 and 7 in stages 0 and 1"),
    ("--cut-before 5 --keep-together 3,7", "--cut-before 5 parts operations 3 and 7"),
    ("--pin 3=1 --pin 7=1 --cut-before 5", "with 1 of --cut-before between"),
    ("--pin 3=1 --pin 7=0", "operation 3 in stage 1 and operation 7, which depends on it, in stage 0"),
]


@pytest.mark.parametrize(("options", "words"), SENSELESS, ids=[options for options, _ in SENSELESS])
def test_what_makes_no_sense(options: str, words: str, mobilenet: Path, tmp_path: Path) -> None:
    done = inside("solve", mobilenet, "--tpus", "3", "-o", tmp_path / "plan", *options.split())
    error(done, ExitCode.USAGE, words)
    assert has_hint(done) and not done.stdout
    assert "solving" not in done.stderr
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize("options", ["--objective devices", "--batch 0", "--planner greedy --max-stages 2"])
def test_what_needs_no_network_is_refused_before_it_is_read(options: str, tmp_path: Path) -> None:
    error(inside("solve", tmp_path / "none.tflite", "--tpus", "3", *options.split()), ExitCode.USAGE)


SENSIBLE = [
    "--objective devices --min-fps 1",
    "--objective batch --batch 5",
    "--pin 3=0 --pin 7=1 --cut-before 5",
    "--pin 3=0 --pin 7=0 --keep-together 3,5",
    "--cut-before 0 --cut-before 5 --max-stages 2",
]


@pytest.mark.parametrize("options", SENSIBLE)
def test_what_makes_sense(options: str, mobilenet: Path) -> None:
    done = inside("solve", mobilenet, "--tpus", "3", "--planner", "dp", *options.split())
    assert done.code == ExitCode.OK, done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--max-latency 5ms", "without constraints"),
        ("--pin 1=0", "without constraints"),
        ("--cuts chain", "no execution order"),
        ("--planner dp", "cpsat alone"),
        ("--objective latency", "solved for throughput"),
    ],
)
def test_what_means_nothing_to_a_graph(options: str, words: str, tmp_path: Path) -> None:
    done = inside("solve", write(tmp_path, graph()), "--tpus", "2", *options.split())
    error(done, ExitCode.USAGE, words)
    assert has_hint(done) and "solving" not in done.stderr
