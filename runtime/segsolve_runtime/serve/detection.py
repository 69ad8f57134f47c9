"""Objects in a picture, in the form that CodeProject.AI and DeepStack have and their clients speak (Frigate's too).

https://www.codeproject.com/AI/docs/api/api_reference.html: ``POST /v1/vision/detection`` with the picture as the file
``image`` of a form, and ``min_confidence``; the answer has boxes in pixels of that picture.
"""

from __future__ import annotations

import asyncio
import io
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import Plan
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.pixels import DEFAULT_RULE, canvas_of, check_rule, tensor_of
from segsolve_runtime.io.top import read_labels
from segsolve_runtime.serve.models import Refusal, ServedModel

DETECTION_PATH = "/v1/vision/detection"
POSTPROCESS = "TFLite_Detection_PostProcess"
LEAST_CONFIDENCE = 0.4
"""What is answered unless the client asks for more or less, as there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """An object: its class, how sure the model is, and its box (top, left, bottom, right) in parts of the picture."""

    index: int
    score: float
    box: tuple[float, float, float, float]


class Decoder(Protocol):
    """Makes detections of a model's outputs."""

    def __call__(self, outputs: Mapping[str, Array]) -> list[Detection]:
        """Return the objects, in any order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A model that is served, what its outputs mean, and how its classes are called."""

    model: ServedModel
    decode: Decoder
    labels: Mapping[int, str]


def detector_of(model: ServedModel, labels: Path | None) -> Detector | None:
    """Return the detector that a model is, if it takes one picture and ends in detections.

    Raises:
        InputError: the labels cannot be read.
    """
    decode = decoder_of(model.plan)
    if decode is None or len(model.plan.inputs) != 1:
        return None
    try:
        check_rule(DEFAULT_RULE, model.plan.tensor(model.plan.inputs[0]))
    except InputError:
        return None
    return Detector(model=model, decode=decode, labels=read_labels(labels) if labels else {})


def decoder_of(plan: Plan) -> Decoder | None:
    """Return what decodes a plan's outputs, if they are those of TensorFlow Lite's detection operation."""
    wanted = [POSTPROCESS, *(f"{POSTPROCESS}:{k}" for k in (1, 2, 3))]
    if sorted(plan.outputs) != sorted(wanted):
        return None

    def decode(outputs: Mapping[str, Array]) -> list[Detection]:
        boxes, classes, scores, count = (np.asarray(outputs[name]) for name in wanted)
        boxes, classes, scores = boxes.reshape(-1, 4), classes.reshape(-1), scores.reshape(-1)
        found = range(min(int(count.reshape(-1)[0]), len(scores)))
        return [
            Detection(
                index=int(classes[i]),
                score=float(scores[i]),
                box=(float(boxes[i, 0]), float(boxes[i, 1]), float(boxes[i, 2]), float(boxes[i, 3])),
            )
            for i in found
        ]

    return decode


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
    spec = detector.model.plan.tensor(detector.model.plan.inputs[0])
    pixels, width, height = await asyncio.to_thread(_picture, content, detector)
    inferring = time.perf_counter()
    outputs = await detector.model.infer({spec.name: tensor_of(pixels, spec, DEFAULT_RULE)})
    ended = time.perf_counter()
    found = sorted(detector.decode(outputs), key=lambda each: -each.score)
    predictions = [_prediction(each, detector.labels, width, height) for each in found if each.score >= least]
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


def _picture(content: bytes, detector: Detector) -> tuple[Array, int, int]:
    """Return a picture as the model's input has it, [height, width, channels], and its own width and height."""
    from PIL import Image, ImageOps

    canvas = canvas_of(detector.model.plan.tensor(detector.model.plan.inputs[0]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                upright = ImageOps.exif_transpose(image).convert(canvas.mode)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise Refusal(413, f"the picture has more than {Image.MAX_IMAGE_PIXELS} pixels") from None
    except (OSError, ValueError, SyntaxError, EOFError):
        raise Refusal(400, "the file is no picture that Pillow can read") from None
    drawn = upright.resize((canvas.width, canvas.height), Image.Resampling.BILINEAR)
    pixels = np.asarray(drawn, np.uint8).reshape(canvas.height, canvas.width, canvas.channels)
    return pixels, upright.width, upright.height


def _prediction(found: Detection, labels: Mapping[int, str], width: int, height: int) -> dict[str, Any]:
    top, left, bottom, right = (min(max(part, 0.0), 1.0) for part in found.box)
    return {
        "label": labels.get(found.index, str(found.index)),
        "confidence": round(found.score, 6),
        "x_min": round(left * width),
        "y_min": round(top * height),
        "x_max": round(right * width),
        "y_max": round(bottom * height),
    }
