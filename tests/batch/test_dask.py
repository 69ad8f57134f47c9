"""The same jobs on a Dask cluster: a real scheduler and two worker processes, one of which is killed on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from segsolve.batch.log import RESULTS
from segsolve.batch.run import SUMMARY
from segsolve.batch.work import run_job
from segsolve.errors import ExitCode
from segsolve.library.workloads import Workload, Workloads
from segsolve.solvers.base import Limits
from tests.batch.runs import PATIENCE_S, batch, recorded, run, start, wait_for

pytest.importorskip("distributed", reason="needs segsolve[dask]")

PLANNERS = ("compiler", "balanced", "profiled", "dp", "layouts")
TPUS = range(1, 17)
JOBS = 4 * len(TPUS) * len(PLANNERS)


@dataclass
class Cluster:
    address: str
    workers: list[subprocess.Popen[bytes]]
    folders: list[Path]


@contextmanager
def started(module: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"distributed.cli.{module}", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_S)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    file = tmp_path / "scheduler.json"
    folders = [tmp_path / "worker-0", tmp_path / "worker-1"]
    with ExitStack() as stack:
        stack.enter_context(
            started("dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file)
        )
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        address = json.loads(file.read_text())["address"]
        common = ("--no-nanny", "--nthreads", 1, "--no-dashboard", "--local-directory")
        workers = [stack.enter_context(started("dask_worker", address, *common, folder)) for folder in folders]
        wait_for(lambda: all(list(folder.glob("**/worker-*")) for folder in folders))
        yield Cluster(address=address, workers=workers, folders=folders)


def test_a_killed_worker_does_not_show(models: Path, tmp_path: Path, cluster: Cluster) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes((models / "residual.tflite").read_bytes()[:2000])
    wanted = batch(models, broken, tpus=TPUS, planners=PLANNERS)
    run(wanted, tmp_path / "local")
    options = ("--tpus", "1..16", "--planners", ",".join(PLANNERS), "-o", tmp_path / "dask")
    engine = ("--engine", "dask", "--scheduler", cluster.address)
    process = start("batch", models, broken, *options, *engine)
    wait_for(lambda: recorded(tmp_path / "dask") >= 20)
    assert recorded(tmp_path / "dask") < JOBS
    cluster.workers[0].kill()
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == ExitCode.PARTIAL  # because of the broken model
    assert "Traceback" not in stderr
    for name in (RESULTS, SUMMARY):
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    sent = [path.name for path in cluster.folders[1].glob("**/segsolve-models/*/*")]
    assert sorted(sent) == sorted([*(path.name for path in models.iterdir()), broken.name])


def test_a_cluster_of_its_own(models: Path, tmp_path: Path) -> None:
    options = ("--tpus", "2", "--planners", "compiler,dp", "--processes", 1, "--engine", "dask", "-o", tmp_path)
    process = start("batch", models, *options)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, stderr) == (ExitCode.OK, "solving: 6 of 6\n")
    assert len((tmp_path / RESULTS).read_text().splitlines()) == 6


def test_workloads_for_pools_are_solved_there_too(models: Path, tmp_path: Path, cluster: Cluster) -> None:
    pair = [models / f"{name}.tflite" for name in ("residual", "synthetic-conv-16")]
    pool = tmp_path / "mine.toml"
    pool.write_text('[[kind]]\ndevice = "edgetpu-m2"\ncount = 2\n')
    asked = ("batch", *pair, "--pools", f"card2 {pool}", "--sharing", "never", "-o")
    for folder, engine in (("local", ()), ("dask", ("--engine", "dask", "--scheduler", cluster.address))):
        process = start(*asked, tmp_path / folder, *engine)
        _, stderr = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, "Traceback" in stderr) == (ExitCode.OK, False), stderr
    for name in (RESULTS, SUMMARY):
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    sent = {path.name for folder in cluster.folders for path in folder.glob("**/segsolve-models/*/*")}
    assert sent == {path.name for path in pair}


def test_a_pool_that_is_another_on_the_worker_is_no_answer(models: Path, tmp_path: Path) -> None:
    pool = tmp_path / "mine.toml"
    pool.write_text('[[kind]]\ndevice = "edgetpu-m2"\ncount = 2\n')
    workload = Workload(name="one", models=(str(models / "residual.tflite"),), pools=(str(pool),), asked={})
    (job,) = Workloads(workloads=(workload,), limits=Limits()).jobs(tmp_path, 1, lambda *_: None)
    pool.write_text('[[kind]]\ndevice = "edgetpu-m2"\ncount = 3\n')
    record = run_job(job, *(model.path for model in job.sources)).record
    assert record is not None
    assert record.error_kind == "bad_device"
    assert "is another here" in str(record.error_message)
