"""Objects in a picture, in the form that CodeProject.AI and DeepStack have and their clients speak (Frigate's too).

https://www.codeproject.com/AI/docs/api/api_reference.html: ``POST /v1/vision/detection`` with the picture as the file
``image`` of a form, and ``min_confidence``; the answer has boxes in pixels of that picture.
"""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io import detections as objects
from segsolve_runtime.io.images import TooLargeError, opened
from segsolve_runtime.io.pixels import DEFAULT_RULE, Canvas, canvas_of, check_rule, tensor_of
from segsolve_runtime.io.top import read_labels
from segsolve_runtime.serve.models import Refusal, ServedModel

DETECTION_PATH = "/v1/vision/detection"
LEAST_CONFIDENCE = 0.4
"""What is answered unless the client asks for more or less, as there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A model that is served, and what reads the objects of its outputs."""

    model: ServedModel
    objects: objects.Detector

    @property
    def spec(self) -> TensorSpec:
        """Its input, a picture."""
        return self.model.plan.tensor(self.model.plan.inputs[0])


def detector_of(model: ServedModel, labels: Path | None) -> Detector | None:
    """Return the detector that a model is, if it takes one picture and ends in detections, or in heads that are known.

    Raises:
        InputError: the labels cannot be read.
    """
    plan = model.plan
    if len(plan.inputs) != 1:
        return None
    try:
        check_rule(DEFAULT_RULE, plan.tensor(plan.inputs[0]))
        reader = objects.detector(
            [plan.tensor(name) for name in plan.outputs], canvas_of(plan.tensor(plan.inputs[0])), LEAST_CONFIDENCE
        )
    except InputError:
        return None
    return Detector(model=model, objects=replace(reader, labels=read_labels(labels)) if labels else reader)


async def detect(detector: Detector, content: bytes | None, min_confidence: Any) -> dict[str, Any]:
    """Return the answer to a picture.

    Raises:
        Refusal: there is none, it is none that Pillow can read, or the model has no result.
    """
    begin = time.perf_counter()
    if not content:
        raise Refusal(400, "the form has no file called image")
    try:
        least = LEAST_CONFIDENCE if min_confidence in (None, "") else float(min_confidence)
    except ValueError:
        raise Refusal(400, f"min_confidence is {min_confidence!r}; it is a number from 0 to 1") from None
    spec = detector.spec
    pixels, width, height = await asyncio.to_thread(_picture, content, canvas_of(spec))
    inferring = time.perf_counter()
    outputs = await detector.model.infer({spec.name: tensor_of(pixels, spec, DEFAULT_RULE)})
    ended = time.perf_counter()
    found = replace(detector.objects, threshold=least).of("", outputs, on_canvas=True)
    predictions = [_prediction(each, width, height) for each in found]
    return {
        "success": True,
        "code": 200,
        "message": f"Found {len(predictions)} objects" if predictions else "No objects found",
        "count": len(predictions),
        "predictions": predictions,
        "inferenceMs": round(1e3 * (ended - inferring)),
        "processMs": round(1e3 * (ended - begin)),
        "moduleId": "segsolve",
        "moduleName": detector.model.name,
        "command": "detect",
    }


def _picture(content: bytes, canvas: Canvas) -> tuple[Array, int, int]:
    """Return a picture as the model's input has it, [height, width, channels], and its own width and height."""
    from PIL import Image

    try:
        upright = opened(io.BytesIO(content), "the file").convert(canvas.mode)
    except TooLargeError as error:
        raise Refusal(413, str(error)) from None
    except InputError as error:
        raise Refusal(400, str(error)) from None
    drawn = upright.resize((canvas.width, canvas.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(drawn, np.uint8).reshape(canvas.height, canvas.width, canvas.channels)
    return pixels, upright.width, upright.height


def _prediction(found: objects.Detection, width: int, height: int) -> dict[str, Any]:
    left, top, right, bottom = (min(max(part, 0.0), 1.0) for part in found.box)
    return {
        "label": str(found.index) if found.label is None else found.label,
        "confidence": round(found.score, 6),
        "x_min": round(left * width),
        "y_min": round(top * height),
        "x_max": round(right * width),
        "y_max": round(bottom * height),
    }
