from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from segsolve.compiler.run import Compiler, find_compiler
from segsolve.errors import CompilerError
from segsolve_runtime.contract.compiled import CUSTOM_OP

from ..models import residual_net


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [residual_net(seed).write(tmp_path, name=f"net_{seed}") for seed in range(3)]


@pytest.fixture
def compiler(standin_compiler: Path) -> Compiler:
    return find_compiler(standin_compiler, jobs=3)


def fails(compiler: Compiler, models: list[Path]) -> CompilerError:
    with pytest.raises(CompilerError) as caught:
        compiler.compile_all(models)
    return caught.value


def test_models_come_back_in_their_order(compiler: Compiler, models: list[Path]) -> None:
    seen: list[Path] = []
    made = compiler.compile_all(models, seen.append)
    assert sorted(seen) == models
    assert compiler.version == "16.0.384591198"
    for model, compiled in zip(models, made, strict=True):
        assert CUSTOM_OP in compiled.content and model.read_bytes() in compiled.content
        assert compiled.report.failure is None
        assert sum(m.count for m in compiled.report.operations) == compiled.report.total_operations == 11


def test_an_error_that_comes_and_goes(
    compiler: Compiler, models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "failures"
    monkeypatch.setenv("STANDIN_COMPILER_FAILURES", str(counter))
    counter.write_text("2")
    assert len(compiler.compile_all(models[:1])) == 1
    counter.write_text("3")
    assert str(fails(compiler, models[:1])).endswith("net_0.tflite: Internal compiler error. Aborting")


def test_a_model_that_cannot_be_compiled(
    compiler: Compiler, models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_FAIL", "Invalid model: net_0.tflite\nModel not quantized")
    assert str(fails(compiler, models[:1])) == (
        "standin_edgetpu_compiler cannot compile net_0.tflite: Invalid model: net_0.tflite Model not quantized"
    )


def _children(marker: str) -> list[str]:
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(path.read_text())
        except OSError:
            continue
    return [command for command in commands if marker in command]


def test_too_slow_a_compiler_is_ended_with_its_child(
    standin_compiler: Path, models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_SLEEP", "97.125")
    compiler = find_compiler(standin_compiler, timeout_s=3.0)
    error = fails(compiler, models[:1])
    assert str(error) == "net_0.tflite was not compiled within 3 s" and "--timeout" in error.hint
    assert not _children("97.125")


def test_several_at_a_time_and_an_interruption_that_ends_all(
    compiler: Compiler, models: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_SLEEP", "98.375")

    def interrupt() -> None:
        end = time.monotonic() + 60
        while len(_children("98.375")) < 3 and time.monotonic() < end:
            time.sleep(0.05)
        if time.monotonic() < end:
            os.kill(os.getpid(), 2)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        compiler.compile_all(models)
    assert not _children("98.375")


@pytest.mark.parametrize(
    ("version", "runtime", "options"),
    [
        ("16.0.384591198", None, ["-s", "-t", "600"]),
        ("15.0.340273435", None, ["-s"]),
        ("2.1.302470888", 13, ["-s", "-m", "13"]),
    ],
)
def test_options_that_a_version_knows(version: str, runtime: int | None, options: list[str]) -> None:
    assert Compiler(path=Path("x"), version=version, min_runtime_version=runtime)._options() == options


def test_an_older_version(standin_compiler: Path, models: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANDIN_COMPILER_VERSION", "15.0.340273435")
    compiler = find_compiler(standin_compiler, min_runtime_version=13)
    (made,) = compiler.compile_all(models[:1])
    assert made.report.version == compiler.version == "15.0.340273435"
    assert b"STANDIN\x0d" in made.content


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerError, match="edgetpu_compiler is not installed") as caught:
        find_compiler()
    assert "edgetpu-compiler" in caught.value.hint
    with pytest.raises(CompilerError, match="there is no program"):
        find_compiler(tmp_path / "none")


def test_another_program(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 1.0\n")
    program.chmod(0o755)
    with pytest.raises(CompilerError, match="is not the vendor's compiler"):
        find_compiler(program)
    program.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(CompilerError, match="does not run"):
        find_compiler(program)
