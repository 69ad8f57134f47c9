"""The verifier notices what is wrong; that it accepts what is right is in `test_cuts`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from segsolve.errors import MismatchError, ModelError
from segsolve.graph.flatbuffer import pack, unpack
from segsolve.graph.model import Allowed
from segsolve.graph.read import LoadedModel
from segsolve.measure.operations import Effort
from segsolve.measure.run import measure_model
from segsolve.segments.verify import Verification, verify
from segsolve_runtime.backends import open_stages
from segsolve_runtime.contract.digest import digested_json
from segsolve_runtime.contract.plan import PLAN_FILE, PlanFolder, PlanPipeline, load_plan
from segsolve_runtime.errors import PlanError
from tests.models import Net, residual_net

from .plans import cut


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedModel:
    return residual_net().load(tmp_path)


def replace_segment(folder: PlanFolder, k: int, content: bytes) -> PlanFolder:
    """Put another file in a segment's place, and its hash into the plan, as one who can would."""
    folder.segment_paths()[k].write_bytes(content)
    stages = list(folder.plan.all_stages)
    changed = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    stages[k] = stages[k].model_copy(update=changed)
    (folder.root / PLAN_FILE).write_text(
        digested_json(folder.plan.model_copy(update={"pipelines": [PlanPipeline(stages=stages)]}))
    )
    return load_plan(folder.root)


@pytest.mark.parametrize("k", range(3))
def test_one_altered_weight_is_noticed(loaded: LoadedModel, tmp_path: Path, k: int) -> None:
    folder = cut(loaded, tmp_path / "plan", (3, 8))
    path = folder.segment_paths()[k]
    model = unpack(path.read_bytes(), path)
    weights = next(t for t in model.subgraphs[0].tensors if t.buffer and len(t.shape) in (2, 4))
    data = model.buffers[weights.buffer].data.copy()
    data[0] ^= 0x80
    model.buffers[weights.buffer].data = data
    with pytest.raises(MismatchError, match="differ from the whole model in tensor"):
        verify(replace_segment(folder, k, pack(model)), loaded)


def test_an_altered_segment_is_noticed_though_the_outputs_stay_the_same(tmp_path: Path) -> None:
    net = Net()
    hidden = net.relu(net.conv(net.input()))
    net.graph.outputs = [net.mul(hidden, net.constant(net.rng.integers(0, 1, 8, dtype="int8"), scale=0.01))]  # zeros
    loaded = net.load(tmp_path)
    folder = cut(loaded, tmp_path / "plan", (2,))
    path = folder.segment_paths()[0]
    model = unpack(path.read_bytes(), path)
    model.buffers[1].data = 0 - model.buffers[1].data
    with pytest.raises(MismatchError, match="'relu_1'"):
        verify(replace_segment(folder, 0, pack(model)), loaded)


@pytest.mark.parametrize("cuts", [(4, 9), (5,)])
def test_a_folder_that_another_command_writes_anew_is_told_apart_from_a_fault(
    loaded: LoadedModel, tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    folder = cut(loaded, tmp_path / "plan", (3, 8))
    cut(loaded, tmp_path / "plan", cuts)
    with pytest.raises(PlanError, match="another command wrote"):
        verify(folder, loaded)


def test_another_model_is_noticed(loaded: LoadedModel, tmp_path: Path) -> None:
    folder = cut(loaded, tmp_path / "plan", (3,))
    other = residual_net(seed=1).load(tmp_path, name="other")
    with pytest.raises(ModelError, match=r"other\.tflite is not the model that the plan was made from"):
        verify(folder, other)


def test_a_segment_of_other_tensors_is_noticed(loaded: LoadedModel, tmp_path: Path) -> None:
    folder = cut(loaded, tmp_path / "plan", (3, 8))
    content = folder.segment_paths()[2].read_bytes()
    with pytest.raises(PlanError, match="but the plan says"):
        verify(replace_segment(folder, 1, content), loaded)


def unknown(net: Net, x: int) -> int:
    out = net.tensor("out", (1, 4, 4, 8))
    net.operator("CUSTOM", [x], [out])
    net.model.operatorCodes[-1].customCode = b"Unknown"
    return out


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2, 3)])
def test_what_comes_before_an_operation_that_litert_does_not_know_is_compared(
    tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    net = Net()
    inner = net.conv(net.conv(net.input()))
    loaded = net.load(tmp_path, net.relu(unknown(net, inner)))
    folder = cut(loaded, tmp_path / "plan", cuts)
    done = verify(folder, loaded, inputs=1)
    assert (done.left_out, done.output_tensors) == (2, 0)
    assert done.compared_bytes >= 128
    path = folder.segment_paths()[0]
    model = unpack(path.read_bytes(), path)
    model.buffers[1].data = 0 - model.buffers[1].data
    with pytest.raises(MismatchError, match="differ from the whole model"):
        verify(replace_segment(folder, 0, pack(model)), loaded, inputs=1)


def test_a_model_of_which_litert_knows_nothing_is_cut_but_not_verified(tmp_path: Path) -> None:
    net = Net()
    loaded = net.load(tmp_path, net.relu(unknown(net, net.input())))
    with pytest.raises(ModelError, match=r"LiteRT knows nothing of .*net\.tflite to run: .*Unknown"):
        verify(cut(loaded, tmp_path / "plan", (1,)), loaded)


def test_a_model_that_litert_dies_of_when_it_runs(tmp_path: Path) -> None:
    net = Net()
    x = net.relu(net.input(kind="UINT8"))
    weights, _ = net.weights("DEPTHWISE_CONV_2D", (1, 3, 3, 8), False, "UINT8")
    options = {"strideH": 1, "strideW": 1, "depthMultiplier": 1}
    loaded = net.load(tmp_path, net.op("DEPTHWISE_CONV_2D", [x, weights], net.shape(x), options))  # without biases
    folder = cut(loaded, tmp_path / "plan", (1,))
    with pytest.raises(ModelError, match=r"SIGSEGV in operation 1 \(DEPTHWISE_CONV_2D\) of .*net\.tflite"):
        verify(folder, loaded)
    with pytest.raises(PlanError, match=r"SIGSEGV in the plan's segment segments/net_segment_1_of_2\.tflite"):
        open_stages("litert", folder)
    with pytest.raises(ModelError, match=r"SIGSEGV in operation 1 \(DEPTHWISE_CONV_2D\)"):
        measure_model(loaded, effort=Effort(runs=1, warm_up=0, seconds=0))


def test_indices_and_shapes_that_are_inputs_get_values_that_the_model_allows(tmp_path: Path) -> None:
    net = Net()
    table = net.constant(net.rng.integers(-99, 99, (7, 8), dtype="int8"), scale=0.05)
    indices = net.input((3,), "INT32", scale=None)
    rows = net.op("GATHER", [table, indices], (3, 8), {"axis": 0}, kind="INT8")
    shaped = net.op("RESHAPE", [rows, net.input((2,), "INT32", scale=None)], (4, 6), {})
    loaded = net.load(tmp_path, net.relu(shaped))
    assert loaded.graph.allowed[indices] == Allowed(low=0, high=6)
    assert verify(cut(loaded, tmp_path / "plan", (1,)), loaded, inputs=20).compared_bytes > 0


def test_inputs_that_the_model_refuses_are_not_called_a_fault_of_the_segments(tmp_path: Path) -> None:
    net = Net()
    table = net.constant(net.rng.integers(-99, 99, (7, 8), dtype="int8"), scale=0.05)
    rows = net.op("GATHER", [table, net.input((3,), "INT32", scale=None)], (3, 8), {"axis": 0}, kind="INT8")
    loaded = net.load(tmp_path, net.relu(rows))
    frames = [("my input", {"input_0": np.array([1, 2, 9], np.int32)})]
    with pytest.raises(ModelError, match="on my input, so its segments cannot be verified") as caught:
        verify(cut(loaded, tmp_path / "plan", (1,)), loaded, frames=frames)
    assert "--input" in caught.value.hint


def test_a_constant_that_is_an_output_is_handed_through(tmp_path: Path) -> None:
    net = Net()
    constant = net.constant(np.arange(3, dtype=np.int8), scale=1)
    loaded = net.load(tmp_path, net.relu(net.conv(net.input())), constant)
    assert verify(cut(loaded, tmp_path / "plan", (1,)), loaded).output_tensors == 2


def test_what_was_compared_is_counted(loaded: LoadedModel, tmp_path: Path) -> None:
    found = verify(cut(loaded, tmp_path / "plan", (3, 8)), loaded, inputs=3, seed=5)
    outputs, crossing = 10 + 128, 128 + 128 + 256  # bytes; relu_1 crosses, too, but is an output
    assert found == Verification(
        inputs=3, seed=5, output_tensors=2, crossing_tensors=3, compared_bytes=3 * (outputs + outputs + crossing)
    )


def test_state_is_carried_from_input_to_input_on_both_sides(tmp_path: Path) -> None:
    net = Net()
    x = net.conv(net.input())
    state = net.tensor("state", (1, 4, 4, 8), isVariable=True)
    net.graph.outputs = [net.relu(net.add(x, state))]
    loaded = net.load(tmp_path)
    assert verify(cut(loaded, tmp_path / "plan", (1, 2)), loaded, inputs=3).inputs == 3


def test_segments_round_as_the_whole_model_does_where_the_file_lacks_a_shape(tmp_path: Path) -> None:
    net = Net()
    inner = net.conv(net.input())
    relu = net.relu(inner)
    net.graph.tensors[inner].shape = None  # then LiteRT gives the whole model to no delegate, but would the segments
    loaded = net.load(tmp_path, net.relu(net.conv(relu)))
    assert not loaded.graph.delegated
    folder = cut(loaded, tmp_path / "plan", (2,))
    assert folder.plan.model.plain_kernels
    assert verify(folder, loaded, inputs=30).inputs == 30


def test_int8_before_a_post_processing_is_dequantised_for_litert(tmp_path: Path) -> None:
    from flatbuffers import flexbuffers

    net = Net()
    x = net.conv(net.input())
    boxes = net.op("RESHAPE", [x, net.constant(np.array([1, 32, 4], np.int32))], (1, 32, 4), {})
    scores = net.op("RESHAPE", [x, net.constant(np.array([1, 32, 4], np.int32))], (1, 32, 4), {})
    anchors = net.constant(net.rng.integers(1, 99, (32, 4), dtype="int8"), scale=0.01)
    found = [net.tensor(f"found_{i}", (), "FLOAT32") for i in range(4)]
    operator = net.operator("CUSTOM", [boxes, scores, anchors], found)
    net.model.operatorCodes[-1].customCode = b"TFLite_Detection_PostProcess"
    options = {"max_detections": 5, "max_classes_per_detection": 1, "num_classes": 3, "nms_iou_threshold": 0.5}
    options |= {"nms_score_threshold": 0.1, "x_scale": 10.0, "y_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0}
    operator.customOptions = np.frombuffer(flexbuffers.Dumps(options), np.uint8)
    loaded = net.load(tmp_path, *found)
    assert [loaded.graph.tensors[t].shape for t in found] == [(1, 5, 4), (1, 5), (1, 5), (1,)]
    assert verify(cut(loaded, tmp_path / "plan", (2,)), loaded, inputs=5).output_tensors == 4
