"""Detectors from end to end, as a user would: solve, run on pictures, boxes; all of it equal to a plain interpreter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from segsolve.errors import ExitCode
from tests.shared import MODELS

from .tool import inside

DETECTOR = MODELS / "coco_ssd_mobilenet_v1_1.0_quant.tflite"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for k in range(5):
        Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    return folder


def plainly(picture: Path) -> list[np.typing.NDArray[np.float32]]:
    interpreter = Interpreter(model_path=str(DETECTOR))
    interpreter.allocate_tensors()
    pixels = np.asarray(Image.open(picture).resize((300, 300), Image.Resampling.BILINEAR))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


@pytest.mark.skipif(not DETECTOR.exists(), reason=f"{DETECTOR.name} is not at hand; set SEGSOLVE_MODELS")
@pytest.mark.parametrize(("tpus", "layout"), [(1, "any"), (2, "pipeline"), (2, "any"), (4, "pipeline"), (4, "any")])
def test_a_real_detector_gives_what_a_plain_interpreter_gives(
    tpus: int, layout: str, pictures: Path, tmp_path: Path
) -> None:
    plan, result = tmp_path / "plan", tmp_path / "out.npz"
    done = inside("solve", DETECTOR, "--tpus", str(tpus), "--layout", layout, "-o", plan, "--no-verify")
    assert done.code == 0, done.stderr
    done = inside("run", plan, "--input", pictures / "*.png", "--output", result)
    assert done.code == 0, done.stderr
    with np.load(result) as found:
        for k, picture in enumerate(sorted(pictures.glob("*.png"))):
            for name, expected in zip(found.files, plainly(picture), strict=False):
                assert found[name][k].tobytes() == expected.tobytes()
    done = inside("check", plan)
    assert done.code in (0, ExitCode.NO_CERTIFICATE), done.stderr
    report = tmp_path / "report.html"
    assert inside("report", plan, "--model", DETECTOR, "-o", report).code == 0
    assert inside("verify", plan, DETECTOR, "--input", pictures / "0.png").code == 0


@pytest.mark.skipif(not DETECTOR.exists(), reason=f"{DETECTOR.name} is not at hand; set SEGSOLVE_MODELS")
def test_boxes_in_lines_and_on_pictures(pictures: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    assert inside("solve", DETECTOR, "--tpus", "1", "-o", plan, "--no-verify").code == 0
    lines = tmp_path / "out.jsonl"
    options = ("--detections", "--threshold", "0.01", "--output", lines, "--pictures", tmp_path / "drawn")
    done = inside("run", plan, "--input", pictures / "*.png", *options)
    assert done.code == 0, done.stderr
    assert "read as those of TFLite_Detection_PostProcess" in done.stderr
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [len(record["detections"]) for record in records] == [10] * 5
    boxes, classes, scores, _ = plainly(pictures / "0.png")
    best = records[0]["detections"][0]
    top, left, bottom, right = boxes[0][0]
    assert best["box"] == pytest.approx([left, top, right, bottom], rel=1e-4)
    assert (best["index"], best["score"]) == (int(classes[0][0]), pytest.approx(float(scores[0][0])))
    assert [path.name for path in sorted((tmp_path / "drawn").iterdir())] == [f"00000{k}_{k}.jpg" for k in range(5)]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--detections", "--top", "3"), "--top is for classifiers"),
        (("--threshold", "0.4"), "--threshold says nothing without --detections"),
        (("--pictures", "x"), "--pictures says nothing without --detections"),
        (("--detections", "--threshold", "2"), "--threshold is 2"),
        (("--detections", "--json"), "--detections and --json would both print on stdout"),
    ],
)
def test_options_that_contradict_each_other(options: tuple[str, ...], reason: str, tmp_path: Path) -> None:
    done = inside("run", tmp_path, *options)
    assert done.code == ExitCode.USAGE
    assert reason in done.stderr
