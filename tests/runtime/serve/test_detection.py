"""Pictures in, boxes out, as clients of CodeProject.AI and DeepStack ask: a form with a file."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from PIL import Image

from generators.runtime_plans import Sketch, make_plan
from segsolve_runtime import InputError, Pipeline
from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.serve.detection import detector_of
from segsolve_runtime.serve.models import ServedModel
from segsolve_runtime.serve.server import ServerOptions

from .conftest import Running, running, served
from .test_http import ask

OUTPUTS = ["TFLite_Detection_PostProcess", *(f"TFLite_Detection_PostProcess:{k}" for k in (1, 2, 3))]
SHAPES = {
    "picture": ("uint8", [1, 4, 8, 3]),
    OUTPUTS[0]: ("float32", [1, 3, 4]),
    OUTPUTS[1]: ("float32", [1, 3]),
    OUTPUTS[2]: ("float32", [1, 3]),
    OUTPUTS[3]: ("float32", [1]),
}


class OneBox:
    """Finds an object of class 1 where the picture is bright, of the brightness as score, and two that are doubtful."""

    def run(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        picture = tensors["picture"][0].astype(np.float32).mean(axis=2)
        rows, columns = np.nonzero(picture > 127)
        box = [rows.min() / 4, columns.min() / 8, (rows.max() + 1) / 4, (columns.max() + 1) / 8]
        return {
            OUTPUTS[0]: np.array([[[0, 0, 1, 1], box, [0, 0, 1.5, -1]]], np.float32),
            OUTPUTS[1]: np.array([[0, 1, 7]], np.float32),
            OUTPUTS[2]: np.array([[0.1, picture.max() / 255, 0.3]], np.float32),
            OUTPUTS[3]: np.array([3], np.float32),
        }

    def close(self) -> None:
        pass


def model() -> ServedModel:
    plan = make_plan([Sketch(takes=["picture"], makes=OUTPUTS)], inputs=["picture"], outputs=OUTPUTS, tensors=SHAPES)
    return ServedModel("finds", Pipeline(plan, [OneBox()]), most_waiting=9, timeout_s=None)


def picture(kind: str = "PNG") -> bytes:
    """Return a picture of 80 x 40 pixels with a bright half on the right."""
    image = Image.new("RGB", (80, 40))
    image.paste((255, 255, 255), (40, 0, 80, 40))
    into = io.BytesIO()
    image.save(into, kind)
    return into.getvalue()


def form(fields: Mapping[str, str], file: bytes | None) -> tuple[bytes, dict[str, str]]:
    """Return a form's body and headers."""
    mark = uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    if file is not None:
        head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
        parts.append(head.encode() + file + b"\r\n")
    return b"".join(parts) + f"--{mark}--\r\n".encode(), {"Content-Type": f"multipart/form-data; boundary={mark}"}


def detect(server: Running, file: bytes | None, **fields: str) -> tuple[int, Any]:
    body, headers = form(fields, file)
    return ask(server, "POST", "/v1/vision/detection", body, headers)[:2]


def test_boxes_are_in_pixels_of_the_picture(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("person\ncar\n")
    finds = model()
    with running(finds, served("adds"), detector=detector_of(finds, tmp_path / "labels.txt")) as server:
        for kind in ("PNG", "JPEG", "BMP"):
            status, answer = detect(server, picture(kind))
            assert status == 200
            (found,) = answer["predictions"]
            assert (found["label"], answer["success"], answer["count"]) == ("car", True, 1)
            assert [found[edge] for edge in ("x_min", "y_min", "x_max", "y_max")] == [40, 0, 80, 40]
            assert found["confidence"] > 0.9
        _, answer = detect(server, picture(), min_confidence="0.2")
        assert [each["label"] for each in answer["predictions"]] == ["car", "7"]
        assert [answer["predictions"][1][edge] for edge in ("x_min", "y_min", "x_max", "y_max")] == [0, 0, 0, 40]
        for file, fields, message in (
            (None, {}, "the form has no file called image"),
            (b"no picture", {}, "the file is no image that Pillow can read"),
            (picture(), {"min_confidence": "high"}, "min_confidence is 'high'"),
        ):
            status, answer = detect(server, file, **fields)
            assert (status, answer["success"], answer["code"]) == (400, False, 400)
            assert message in answer["error"]
        request = urllib.request.Request(f"http://{server.http}/v2/models/finds")
        with urllib.request.urlopen(request, timeout=60) as described:
            assert json.load(described)["inputs"][0]["datatype"] == "UINT8"


def test_a_form_that_makes_no_sense_is_told_why() -> None:
    finds = model()
    options = ServerOptions(port=0, max_body=10_000, grace_s=5)
    with running(finds, detector=detector_of(finds, None), options=options) as server:
        for body, kind, status in (
            (b"x", "multipart/form-data", 400),
            (b"x", "multipart/form-data; boundary=b", 400),
            (b"image=x", "application/x-www-form-urlencoded", 400),
            (form({}, b"x" * 20_000)[0], "multipart/form-data; boundary=b", 413),
        ):
            for headers in ({"Content-Length": str(len(body))}, {"Transfer-Encoding": "chunked"}):
                sent = body if "Content-Length" in headers else b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
                found, answer, _ = ask(server, "POST", "/v1/vision/detection", sent, {"Content-Type": kind, **headers})
                assert (found, answer["success"], bool(answer["error"])) == (status, False, True)
        assert detect(server, picture())[0] == 200


def test_only_a_plan_that_ends_in_detections_is_a_detector(tmp_path: Path) -> None:
    adds, finds = served("adds"), model()
    assert detector_of(adds, None) is None
    with pytest.raises(InputError, match="cannot be read"):
        detector_of(finds, tmp_path / "none.txt")
    for each in (adds, finds):
        each.pipeline.close()
