"""The networks in LiteRT, on random images: they run, and what flows through them is lively."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from segsolve.graph import flatbuffer

from .files import Content

WATCHED = {  # an activation near the end of each network
    "resnet50": "predictions_logits",
    "resnet152": "predictions_logits",
    "mobilenet": "conv_preds",
    "mobilenetv2": "predictions_logits",
    "inceptionv3": "predictions_logits",
    "resnet50v2": "predictions_logits",
    "efficientnet-lite0": "predictions_logits",
    "inceptionv4": "predictions_logits",
    "inceptionresnetv2": "predictions_logits",
    "densenet121": "predictions_logits",
    "squeezenet1.0": "avg_pool",
    "squeezenet1.1": "avg_pool",
    "xception": "avg_pool",
    "nasnetmobile": "predictions_logits",
    "ssd-mobilenetv1": "convert_scores",
    "ssd-mobilenetv2": "convert_scores",
    "ssdlite-mobiledet": "convert_scores",
    "efficientdet-lite0": "probabilities",
    "yolov5s": "output",
    "yolov8n": "output",
    "synthetic-conv-64": "conv5",
    "synthetic-dense-512": "dense4",
}
LIVELY = 50  # distinct values

Tensors = dict[str, npt.NDArray[np.int8]]


def run(
    content: bytes, images: int = 2, watched: str | None = None, resolver: Any = OpResolverType.AUTO
) -> list[Tensors]:
    """Run a network on random images; return its outputs and one or all other activations by name."""
    model = flatbuffer.unpack(content, Path("network"))
    graph = model.subgraphs[0]
    produced = [index for operator in graph.operators for index in operator.outputs]
    graph.outputs = [i for i in produced if watched in {None, graph.tensors[i].name.decode()} or i in graph.outputs]
    interpreter = Interpreter(model_content=flatbuffer.pack(model), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    rng = np.random.default_rng(7)
    results = []
    for _ in range(images):
        interpreter.set_tensor(source["index"], rng.integers(-128, 128, size=source["shape"], dtype=np.int8))
        interpreter.invoke()
        results.append({d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()})
    return results


@pytest.mark.parametrize("name", WATCHED)
def test_a_network_runs_and_tells_images_apart(content: Content, name: str) -> None:
    first, second = run(content(name), watched=WATCHED[name])
    detected = [tensor for tensor in first if first[tensor].dtype == np.float32]  # of these not all need differ
    for tensor in first.keys() - detected:
        assert (first[tensor] != second[tensor]).any(), tensor
    assert not detected or any((first[tensor] != second[tensor]).any() for tensor in detected)
    assert len(np.unique(first[WATCHED[name]])) >= LIVELY


def test_a_network_runs_without_xnnpack(content: Content) -> None:
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    name = "mobilenetv2"
    first, second = run(content(name), watched=WATCHED[name], resolver=plain)
    assert (first["predictions"] != second["predictions"]).any()
    assert len(np.unique(first[WATCHED[name]])) >= LIVELY


@pytest.mark.parametrize("name", ["resnet50", "mobilenetv2", "inceptionv3", "densenet121", "nasnetmobile"])
def test_no_activation_collapses_or_saturates(content: Content, name: str) -> None:
    (tensors,) = run(content(name), images=1)
    del tensors["predictions"]
    for tensor, values in tensors.items():
        assert len(np.unique(values)) >= LIVELY, tensor
        assert np.mean(values == 127) < 0.1, tensor
        assert np.mean(values == -128) < 0.8, tensor  # the zero of a ReLU, apart from saturation
