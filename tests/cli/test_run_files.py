"""`segsolve run` on files: what comes out is what the whole model makes of them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from segsolve.errors import ExitCode
from segsolve_runtime.contract.arrays import Array

from ..models import Net
from ..shared import real_models
from .tool import SCRIPT, document, error, has_hint, inside


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of one image and ten classes, its plan of two stages, and five images of several sizes."""
    folder = tmp_path_factory.mktemp("classifier")
    net = Net()
    x = net.relu(net.conv(net.input((1, 8, 12, 3)), 8))
    net.write(folder, net.dense(net.conv(x, 4), 10), name="model")
    done = inside(
        "solve", "model.tflite", "--tpus", "2", "--planner", "uniform", "--no-verify", "-o", "plan", cwd=folder
    )
    assert done.code == ExitCode.OK, done.stderr
    rng = np.random.default_rng(0)
    for i in range(5):
        Image.fromarray(rng.integers(0, 256, (8 * i + 8, 12, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    (folder / "labels.txt").write_text("".join(f"class {i}\n" for i in range(10)))
    return folder


def _whole(folder: Path, name: str) -> Array:
    """What the whole model makes of an image, without any code of ours."""
    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    interpreter.allocate_tensors()
    image = Image.open(folder / name).resize((12, 8), Image.Resampling.BILINEAR)
    pixels = (np.asarray(image).astype(int) - 128).astype(np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def test_images_to_npz(classifier: Path, tmp_path: Path) -> None:
    done = inside("run", "plan", "--input", "*.png", "--output", tmp_path / "o.npz", "--json", cwd=classifier)
    assert done.code == ExitCode.OK, done.stderr
    assert document(done.stdout)["count"] == 5
    with np.load(tmp_path / "o.npz") as found:
        names = list(found["input_files"])
        (output,) = set(found.files) - {"input_files", "output_quantisation"}
        assert names == [f"{i}.png" for i in range(5)]
        assert np.array_equal(found[output], np.concatenate([_whole(classifier, name) for name in names]))


@pytest.mark.parametrize("path", real_models())
def test_real_numbers_of_a_real_model(path: Path, tmp_path: Path) -> None:
    """What LiteRT's own figures make of the whole model's outputs, on the frame that the run drew."""
    done = inside("solve", path, "--tpus", "2", "--planner", "uniform", "--no-verify", "-o", tmp_path / "plan")
    assert done.code == ExitCode.OK, done.stderr
    for name, options in (("whole.npz", ()), ("real.npz", ("--dequantize",)), ("real.jsonl", ("--dequantize",))):
        ran = inside("run", tmp_path / "plan", "--count", "1", "--output", tmp_path / name, *options)
        assert ran.code == ExitCode.OK, ran.stderr
    (record,) = (json.loads(text) for text in (tmp_path / "real.jsonl").read_text().splitlines())
    interpreter = Interpreter(model_path=str(path))
    told = {d["name"]: d for d in interpreter.get_output_details()}
    with np.load(tmp_path / "whole.npz") as whole, np.load(tmp_path / "real.npz") as real:
        assert set(real.files) == {*told, "input_files"}
        rows = {row["output"]: (row["scale"], row["zero_point"]) for row in whole["output_quantisation"]}
        for output, details in told.items():
            scale, zero = details["quantization"]
            is_integer = np.issubdtype(details["dtype"], np.integer) and scale
            wanted = (whole[output].astype(np.float32) - zero) * np.float32(scale) if is_integer else whole[output]
            assert real[output].dtype == wanted.dtype
            np.testing.assert_array_equal(real[output], wanted)
            np.testing.assert_allclose(np.array(record["outputs"][output]).reshape(wanted.shape), wanted, rtol=1e-6)
            assert not is_integer or rows[output] == (pytest.approx(scale), zero)


def test_a_pattern_that_the_shell_expanded(classifier: Path, tmp_path: Path) -> None:
    """As in `segsolve run plan --input *.png --output o.jsonl`."""
    line = f"{SCRIPT} run plan --input *.png --count 3 --top 2 --labels labels.txt --output {tmp_path}/o.jsonl"
    done = subprocess.run(line, shell=True, cwd=classifier, capture_output=True, text=True, check=True, timeout=120)
    records = [json.loads(text) for text in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [record["input"] for record in records] == ["0.png", "1.png", "2.png"]
    for record in records:
        best = int(np.argmax(_whole(classifier, record["input"])))
        assert record["top"][0]["index"] == best and record["top"][0]["label"] == f"class {best}"
        assert len(record["top"]) == 2
    assert "wrote 3 results" in done.stderr


def test_best_classes_on_stdout(classifier: Path) -> None:
    done = inside("run", "plan", "--input", "0.png", "--top", "1", "--labels", "labels.txt", cwd=classifier)
    best = int(np.argmax(_whole(classifier, "0.png")))
    assert done.stdout.startswith(f"0.png: class {best} ")
    assert "1 inference on litert" in done.stdout


def test_bytes_through_a_pipe(classifier: Path) -> None:
    data = np.zeros((3, 8, 12, 3), np.int8).tobytes()
    done = subprocess.run(
        [SCRIPT, "run", "plan", "--input", "-", "--json"],
        cwd=classifier,
        input=data,
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout)["count"] == 3


def test_a_terminal_has_no_frames(classifier: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [SCRIPT, "run", "plan", "--input", "-"],
        cwd=classifier,
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == ExitCode.USAGE and "the standard input is a terminal" in done.stderr


def test_several_inputs_by_name(plan: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 4, 4, 8), np.int8))
    done = inside("run", plan, "-i", "input_0=x.npy", "-i", "input_1=x.npy", "-o", "o.npz", cwd=tmp_path)
    assert done.code == ExitCode.OK, done.stderr
    with np.load(tmp_path / "o.npz") as found:
        assert sorted(len(found[name]) for name in found.files if name != "output_quantisation") == [2, 2, 2]
        assert len(found["output_quantisation"]) == 2


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--input", "none.png"], ExitCode.USAGE, "none.png does not exist"),
        (["--input", "labels.txt"], ExitCode.USAGE, "labels.txt is no image"),
        (["--input", "0.png", "--output", "o.csv"], ExitCode.OUTPUT, "o.csv is neither"),
        (["--input", "0.png", "--output", "none/o.npz"], ExitCode.OUTPUT, "none/o.npz cannot be written"),
        (["--input", "0.png", "--labels", "labels.txt"], ExitCode.USAGE, "--labels says nothing without --top"),
        (["--input", "0.png", "--top", "0"], ExitCode.USAGE, "--top is 0"),
        (["--input", "0.png", "--top", "1", "--labels", "none"], ExitCode.USAGE, "the labels none cannot be read"),
        (["--input", "0.png", "--top", "1", "--json"], ExitCode.USAGE, "--top and --json"),
        (["--input", "0.png", "--dequantize"], ExitCode.USAGE, "--dequantize is about --output"),
        (["--input", "0.png", "--fit", "tight"], ExitCode.USAGE, "--fit is 'tight'"),
        (["--input", "0.png", "--mean", "a,b"], ExitCode.USAGE, "--mean is 'a,b'"),
        (["--input", "0.png", "--std", "1,2"], ExitCode.USAGE, "std has 2 numbers"),
    ],
)
def test_bad_options(options: list[str], code: ExitCode, words: str, classifier: Path) -> None:
    done = inside("run", "plan", *options, cwd=classifier)
    error(done, code, words)
    assert not done.stdout


def test_a_model_with_an_unusual_range_is_told(tmp_path: Path) -> None:
    net = Net()
    net.write(tmp_path, net.conv(net.input((1, 8, 12, 3))), name="model")
    inside("solve", "model.tflite", "--tpus", "1", "--no-verify", "-o", "plan", cwd=tmp_path)
    Image.new("RGB", (12, 8)).save(tmp_path / "a.png")
    done = inside("run", "plan", "--input", "a.png", cwd=tmp_path)
    assert done.code == ExitCode.OK and "warning: the input 'input_0' stands for -6.4 to 6.35" in done.stderr
    quiet = inside("run", "plan", "--input", "a.png", "--mean", "127.5", "--std", "127.5", cwd=tmp_path)
    assert quiet.code == ExitCode.OK and "warning" not in quiet.stderr


def test_best_classes_of_a_model_with_two_outputs(plan: Path) -> None:
    done = inside("run", plan, "--count", "2", "--top", "3")
    assert done.code == ExitCode.OK, done.stderr
    assert done.stdout.startswith("random[0]: ")
    assert not has_hint(done)
