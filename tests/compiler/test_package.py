"""Compiled files: what is read of them, against public ones where they are at hand, and that no bytes break it."""

from __future__ import annotations

import csv
import hashlib
import random
from pathlib import Path

import pytest

from segsolve.compiler.package import CompiledModel, Kind, compiled_model, read_compiled
from segsolve.compiler.run import Compiler
from segsolve.errors import ModelError

from ..cli.tool import inside
from ..models import residual_net
from ..shared import MEASUREMENTS, MODELS
from .packages import executable, model_with, package

FACTS = MEASUREMENTS / "compiled_public.csv"
PAIRS = sorted((MODELS / "pairs").glob("*_edgetpu.tflite")) if FACTS.exists() else []
EXECUTION = executable(2, 320, (1000, 200), narrow=640, layers=((192, 8), (12,)), scratch=(4096, 512, 256))


@pytest.fixture
def segment(tmp_path: Path) -> bytes:
    return residual_net().write(tmp_path).read_bytes()


@pytest.fixture
def made(segment: bytes) -> bytes:
    return model_with(segment, package([EXECUTION, executable(1, 6400, (64,))]))


def test_a_package_is_read_to_the_byte(made: bytes) -> None:
    model = compiled_model(made, Path("net.tflite"))
    assert model is not None
    assert (model.cached_bytes, model.streamed_bytes, model.instruction_bytes) == (6400, 320, 1200)
    assert model.activation_bytes == 16 * 640
    (execution,) = model.inferring
    assert execution.kind is Kind.EXECUTION
    assert (execution.input_bytes, execution.output_bytes) == (200, 12)
    assert (execution.scratch_bytes, execution.scratch_in_bytes, execution.scratch_out_bytes) == (4096, 512, 256)
    (only,) = model.packages
    assert (only.compiler_version, only.min_runtime_version) == ("", 14)


def test_a_stand_alone_executable_streams_its_weights(segment: bytes) -> None:
    model = compiled_model(model_with(segment, package([executable(0, 4096)], b"16.0")), Path("net.tflite"))
    assert model is not None
    assert (model.cached_bytes, model.streamed_bytes) == (0, 4096)
    assert model.packages[0].compiler_version == "16.0"


def test_a_model_that_is_not_compiled_has_none(tmp_path: Path) -> None:
    assert read_compiled(residual_net().write(tmp_path)) is None


@pytest.mark.parametrize("options", [b"", b"STANDIN", b"DWN1", bytes(1000)])
def test_a_placeholder_is_no_code_for_an_edge_tpu(segment: bytes, options: bytes) -> None:
    with pytest.raises(ModelError, match="a placeholder, or a file from before the middle of 2019") as caught:
        compiled_model(model_with(segment, options), Path("net.tflite"))
    assert "again" in caught.value.hint


def test_no_damage_of_a_package_is_more_than_an_error(segment: bytes) -> None:
    whole = package([EXECUTION, executable(1, 64, (64,))])
    chance = random.Random(5)
    outcomes: set[type] = set()
    for _ in range(1500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        cut = chance.choice((len(damaged), chance.randrange(8, len(damaged))))
        try:
            outcomes.add(type(compiled_model(model_with(segment, bytes(damaged[:cut])), Path("net.tflite"))))
        except ModelError:
            outcomes.add(ModelError)
    assert outcomes == {CompiledModel, ModelError}


def test_what_streams_is_the_file_s_and_not_the_report_s_two_digits(
    standin_compiler: Path, made: bytes, tmp_path: Path
) -> None:
    from segsolve.compiler.run import Compiled, _with_code, find_compiler

    compiler: Compiler = find_compiler(standin_compiler)
    (stands_in,) = compiler.compile_all([residual_net().write(tmp_path)])
    assert stands_in.code is None  # no Edge TPU code: the report is all there is
    real: Compiled = _with_code(made, stands_in.report, Path("net.tflite"))
    assert real.report.offchip_bytes == 320
    assert stands_in.report.offchip_bytes == 0


def test_inspect_shows_a_compiled_model(made: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net_edgetpu.tflite"
    path.write_bytes(made)
    done = inside("inspect", path)
    assert done.code == 0
    for fact in ("6,400 bytes cached, 320 streamed", "1,200 bytes with every inference", "version 14 or newer"):
        assert fact in done.stdout
    assert '"cached_bytes": 6400' in inside("inspect", path, "--json").stdout


def test_inspect_refuses_a_placeholder(segment: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net_edgetpu.tflite"
    path.write_bytes(model_with(segment, b"nothing"))
    done = inside("inspect", path)
    assert (done.code, done.stdout) == (3, "")
    assert "a placeholder" in done.stderr


@pytest.mark.skipif(not PAIRS, reason="no public compiled files at hand")
@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_public_files_hold_what_is_known_of_them(path: Path) -> None:
    content = path.read_bytes()
    digest = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    with FACTS.open(newline="", encoding="utf-8") as stream:
        (row,) = [row for row in csv.DictReader(stream) if row["git_blob_sha1"] == digest]
    model = read_compiled(path)
    assert model is not None
    found = {
        "cached_bytes": model.cached_bytes,
        "streamed_bytes": model.streamed_bytes,
        "instruction_bytes_execution": model.instruction_bytes,
        "instruction_bytes_caching": sum(e.instruction_bytes for e in model.executables if e.kind is Kind.CACHING),
        "narrow_bytes_per_tile": model.activation_bytes // 16,
        "host_scratch_bytes": sum(e.scratch_bytes for e in model.inferring),
        "scratch_dma_in": sum(e.scratch_in_bytes for e in model.inferring),
        "scratch_dma_out": sum(e.scratch_out_bytes for e in model.inferring),
        "input_layer_bytes": sum(e.input_bytes for e in model.inferring),
        "output_layer_bytes": sum(e.output_bytes for e in model.inferring),
        "n_executables": len(model.executables),
        "ops_left_on_cpu": len(model.on_host),
        "min_runtime_version": model.packages[0].min_runtime_version,
        "caching_token": model.executables[0].token,
    }
    assert found == {key: int(row[key] or 0) for key in found}
