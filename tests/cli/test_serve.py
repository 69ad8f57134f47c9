"""``segsolve serve`` as a process: comes up, answers as the plan runs, ends when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client

from segsolve.errors import ExitCode
from segsolve_runtime import Pipeline, random_frames
from tests.models import residual_net

from .tool import SCRIPT, inside, limited

PATIENCE_S = 60


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    model = residual_net().write(folder)
    assert inside("solve", model, "--tpus", "3", "--planner", "uniform", "--no-verify", "-o", folder / "plan").code == 0
    return folder / "plan"


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run the command, and yield its process and what it logged first."""
    command = [str(SCRIPT), "serve", *map(str, arguments), "--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, limited(process, 10 * PATIENCE_S):
        try:
            assert process.stderr is not None
            for line in process.stderr:  # LiteRT says something, too
                if line.startswith("{"):
                    yield process, json.loads(line)
                    break
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_two_plans_are_served_until_a_signal(plan: Path) -> None:
    with Pipeline.load(plan) as pipeline:
        (frame,) = random_frames(pipeline.plan, 1, seed=3)
        (expected,) = pipeline.map([frame])
    with serving(f"first={plan}", f"second={plan}", "--grpc") as (_, up):
        assert (up["event"], up["models"]) == ("serving", ["first", "second"])
        for module, port, name in ((http_client, up["http"], "first"), (grpc_client, up["grpc"], "second")):
            with module.InferenceServerClient(f"127.0.0.1:{port}") as client:
                given = []
                for described in client.get_model_metadata(name, **({} if port == up["http"] else {"as_json": True}))[
                    "inputs"
                ]:
                    shape = [int(size) for size in described["shape"]]
                    given.append(module.InferInput(described["name"], shape, described["datatype"]))
                    given[-1].set_data_from_numpy(frame[described["name"]])
                result = client.infer(name, given)
                for output, array in expected.items():
                    np.testing.assert_array_equal(result.as_numpy(output), array, strict=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port"),
        (["--on-fault", "stop"], "--on-fault is 'stop'"),
        (["--timeout", "0"], "--timeout is 0"),
        (["--grace", "-1"], "--grace is -1"),
        (["--labels", "x.txt"], "no plan ends in them"),
        (["--token-file", "nowhere"], "the token nowhere cannot be read"),
        (["--backend", "gpu"], "there is no backend 'gpu'"),
        (["--devices", "usb:0"], "has no devices to choose"),
    ],
)
def test_options_that_make_no_sense(plan: Path, arguments: list[str], words: str) -> None:
    done = inside("serve", plan, *arguments)
    assert done.code == ExitCode.USAGE
    assert words in done.stderr


def test_names_are_told_apart(plan: Path, tmp_path: Path) -> None:
    done = inside("serve", plan, plan)
    assert (done.code, "two plans are called" in done.stderr) == (ExitCode.USAGE, True)
    done = inside("serve", f"a/b={plan}")
    assert done.code == ExitCode.USAGE
    assert inside("serve", tmp_path).code == ExitCode.BAD_PLAN
    done = inside("serve", f"a={plan}", f"b={plan}", "--backend", "edgetpu")
    assert (done.code, "several plans share" in done.stderr) == (ExitCode.USAGE, True)
