"""The commands as users run them: kills, Ctrl-C, exit codes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from segsolve.batch.log import RESULTS, TIMINGS
from segsolve.batch.run import SUMMARY
from segsolve.errors import ExitCode
from tests.batch.runs import PATIENCE_S, batch, recorded, run, start, wait_for

TPUS = range(1, 17)
PLANNERS = ("compiler", "balanced", "profiled", "dp", "layouts")
JOBS = 3 * len(TPUS) * len(PLANNERS)


def begin(models: Path, folder: Path, *more: object) -> subprocess.Popen[str]:
    options = ("--tpus", "1..16", "--planners", ",".join(PLANNERS), "--processes", 2)
    return start("batch", models, *options, "-o", folder, *more)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    return process.returncode, stdout, stderr


@pytest.fixture(scope="module")
def undisturbed(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(batch(models, tpus=TPUS, planners=PLANNERS), folder)
    return folder


def assert_same(folder: Path, expected: Path) -> None:
    for name in (RESULTS, SUMMARY):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()


def session(process: subprocess.Popen[str]) -> list[int]:
    """The processes that are left of a command's session."""
    listed = subprocess.run(
        ["ps", "-eo", "pid=,sid=,stat="], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    fields = (line.split() for line in listed.splitlines())
    return [int(pid) for pid, sid, state in fields if int(sid) == process.pid and not state.startswith("Z")]


def keys(path: Path) -> list[str]:
    """The keys in a file's whole lines."""
    return [json.loads(line)["key"] for line in path.read_bytes().split(b"\n")[:-1]]


def test_killed_again_and_again_the_result_is_the_same(models: Path, undisturbed: Path, tmp_path: Path) -> None:
    moments = random.Random(2025).sample(range(JOBS), 3)
    for moment in (0, *sorted(moments)):
        process = begin(models, tmp_path)
        wait_for(lambda moment=moment: recorded(tmp_path) >= moment)  # type: ignore[misc]
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        wait_for(lambda process=process: not session(process))  # type: ignore[misc]  # workers do not outlive it
    kept, before = (keys(tmp_path / name) for name in (RESULTS, TIMINGS))
    code, _, stderr = finish(begin(models, tmp_path))
    assert code == ExitCode.OK
    assert f"{len(kept)} of {JOBS} jobs were done before" in stderr
    assert_same(tmp_path, undisturbed)
    # A kill between doing a job and recording it costs that job; what is recorded is not done again.
    assert sorted(keys(tmp_path / TIMINGS)[len(before) :]) == sorted(set(keys(tmp_path / RESULTS)) - set(kept))


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_done(models: Path, undisturbed: Path, tmp_path: Path, sent: signal.Signals) -> None:
    process = begin(models, tmp_path)
    wait_for(lambda: recorded(tmp_path) >= 20)
    os.killpg(process.pid, sent) if sent is signal.SIGINT else process.send_signal(sent)
    code, stdout, stderr = finish(process)
    assert (code, stdout) == (ExitCode.INTERRUPTED, "")
    assert stderr.splitlines()[-2:] == [
        "error: the batch was interrupted",
        "hint: what is done is kept; the same command goes on from there",
    ]
    assert "Traceback" not in stderr
    assert recorded(tmp_path) >= 20
    wait_for(lambda: not session(process))
    assert finish(begin(models, tmp_path))[0] == ExitCode.OK
    assert_same(tmp_path, undisturbed)


def test_the_summary_is_the_result(models: Path, undisturbed: Path, tmp_path: Path) -> None:
    code, stdout, stderr = finish(begin(models, undisturbed, "--json"))
    assert code == ExitCode.OK
    assert json.loads(stdout) == json.loads((undisturbed / SUMMARY).read_text())
    assert stderr == f"{JOBS} of {JOBS} jobs were done before\n"


def test_a_question_goes_on_after_an_interruption(models: Path, tmp_path: Path) -> None:
    question = ("--objective", "latency", "--min-fps", "1", "--max-stages", "6", "--tpus", "1..16")
    process = start("batch", models, *question, "-o", tmp_path)
    wait_for(lambda: recorded(tmp_path) >= 10)
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process)[0] == ExitCode.INTERRUPTED
    kept = set(keys(tmp_path / RESULTS))
    code, stdout, stderr = finish(start("batch", models, *question, "-o", tmp_path))
    assert code == ExitCode.OK
    assert "the smallest latency, at most 6 stages, at least 1 inferences per second" in " ".join(stdout.split())
    assert f"{len(kept)} of {3 * 16 * 3} jobs were done before" in stderr
    records = [json.loads(line) for line in (tmp_path / RESULTS).read_text().splitlines()]
    assert {record["key"] for record in records} >= kept
    assert {record["planner"] for record in records} == {"cpsat", "dp", "layouts"}
    assert all(record["constraints"] == {"max_stages": 6, "min_fps": 1.0} for record in records)


def test_some_failures_have_an_exit_code_of_their_own(models: Path, tmp_path: Path) -> None:
    residual = models / "residual.tflite"
    options = ("--tpus", "2", "--planners", "cpsat,compiler", "-o", tmp_path / "out")
    code, stdout, stderr = finish(start("batch", residual, tmp_path / "gone.tflite", *options))
    assert code == ExitCode.PARTIAL
    assert "gone.tflite does not exist" in stdout.replace("\n", " ")
    assert "edgetpu-m2: how many times faster the best pipeline (cpsat) is" in stdout
    assert "solving: 4 of 4, 2 failed" in stderr


def test_a_folder_that_is_not_there_is_no_network(tmp_path: Path) -> None:
    code, _, stderr = finish(start("batch", f"{tmp_path}/gone/", "--tpus", "2", "-o", tmp_path / "out"))
    assert code == ExitCode.USAGE and "gone/ does not exist" in stderr


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--tpus", "8..2"], ExitCode.USAGE, "--tpus is '8..2'"),
        (["--planners", "magic"], ExitCode.USAGE, "no planner 'magic'"),
        (["--devices", "magic"], ExitCode.BAD_DEVICE, "no device 'magic'"),
        (["--engine", "dask", "--scheduler", "magic:1:2"], (ExitCode.USAGE, ExitCode.RUN_FAILED), ""),
    ],
)
def test_mistakes(models: Path, tmp_path: Path, options: list[str], code: object, reason: str) -> None:
    found, stdout, stderr = finish(start("batch", models / "residual.tflite", *options, "-o", tmp_path))
    assert found in (code if isinstance(code, tuple) else (code,))
    assert reason in stderr
    assert "Traceback" not in stderr
    assert stdout == ""


def test_a_folder_that_is_in_use(models: Path, tmp_path: Path) -> None:
    from segsolve.batch.log import locked

    with locked(tmp_path):
        code, _, stderr = finish(begin(models, tmp_path))
    assert code == ExitCode.OUTPUT
    assert "another batch is writing" in stderr


def test_the_report_of_an_interrupted_batch_says_what_is_missing(models: Path, tmp_path: Path) -> None:
    folder, page = tmp_path / "out", tmp_path / "page.html"
    process = begin(models, folder)
    wait_for(lambda: recorded(folder) > 5)
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    wait_for(lambda: not session(process))
    missing = JOBS - len(set(keys(folder / RESULTS)))
    assert finish(start("report", folder, "-o", page))[0] == ExitCode.OK
    assert 0 < missing < JOBS and f"{missing} of {JOBS} jobs are not done yet" in page.read_text()
    assert finish(begin(models, folder))[0] == ExitCode.OK
    assert finish(start("report", folder, "-o", page))[0] == ExitCode.OK
    assert "not done yet" not in page.read_text()
