from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError, ResultError
from segsolve_runtime.io.outputs import open_output
from segsolve_runtime.io.top import read_labels, top_classes

SCORES = TensorSpec(name="net/scores:0", dtype="uint8", shape=[1, 6], scale=0.1, zero_point=0)
MASK = TensorSpec(name="mask", dtype="int64", shape=[2, 3])
REAL = TensorSpec(name="real", dtype="float32", shape=[1, 2])
RESULTS = [np.array([[3, 9, 1, 9, 0, 2]], np.uint8), np.array([[0, 0, 7, 0, 8, 0]], np.uint8)]


def _outputs(number: int) -> dict[str, Array]:
    return {SCORES.name: RESULTS[number], "mask": np.full((2, 3), number, np.int64)}


def test_npz_holds_every_output_of_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    with open_output(path, [SCORES, MASK]) as sink:
        for number in range(2):
            sink.put(f"{number}.jpg", _outputs(number))
    with np.load(path) as found:
        assert sorted(found.files) == ["input_files", "mask", "net/scores:0", "output_quantisation"]
        assert np.array_equal(found["net/scores:0"], np.concatenate(RESULTS))
        assert (found["mask"].shape, found["mask"].dtype) == ((2, 2, 3), np.int64)
        assert found["mask"][1].min() == 1 and list(found["input_files"]) == ["0.jpg", "1.jpg"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.npz"]


def test_a_name_that_a_zip_file_cannot_hold_is_refused_before_the_run(tmp_path: Path) -> None:
    longest, longer = (REAL.model_copy(update={"name": "n" * size}) for size in (2**16 - 5, 2**16 - 4))
    with open_output(tmp_path / "out.npz", [longest]) as sink:
        sink.put("a", {longest.name: np.zeros((1, 2), np.float32)})
    with np.load(tmp_path / "out.npz") as found:
        assert longest.name in found.files
    with pytest.raises(ResultError, match="no names of more than 65531 bytes"):
        open_output(tmp_path / "out.npz", [longer])


def test_jsonl_holds_a_line_per_frame_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with open_output(path, [SCORES, MASK]) as sink:
        sink.put("a.jpg", _outputs(1))
        (line,) = path.read_text().splitlines()
    assert json.loads(line) == {
        "frame": 0,
        "input": "a.jpg",
        "outputs": {"net/scores:0": [[0, 0, 7, 0, 8, 0]], "mask": [[1, 1, 1], [1, 1, 1]]},
    }


def test_json_has_no_number_for_some_results(tmp_path: Path) -> None:
    with open_output(tmp_path / "out.jsonl", [REAL]) as sink:
        sink.put("a", {"real": np.array([[np.nan, 0.5]], np.float32)})
    assert json.loads((tmp_path / "out.jsonl").read_text())["outputs"] == {"real": [[None, 0.5]]}


def test_best_classes_with_labels(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("ant\nbee\ncat\ndog\nelk\nfox\n")
    top = top_classes([SCORES, MASK], 2, tmp_path / "labels.txt")
    assert top.doubt() is None
    with open_output(tmp_path / "out.jsonl", [SCORES, MASK], top) as sink:
        sink.put("a.jpg", _outputs(0))
    record = json.loads((tmp_path / "out.jsonl").read_text())
    assert record["top"] == [{"index": 1, "label": "bee", "score": 0.9}, {"index": 3, "label": "dog", "score": 0.9}]
    assert [str(scored) for scored in top.of(_outputs(1))] == ["elk 0.800", "cat 0.700"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("ant\nbee\n", {0: "ant", 1: "bee"}),
        ("0 ant\n1 bee cow\n", {0: "ant", 1: "bee cow"}),
        ("0: ant\n17: bee\n", {0: "ant", 17: "bee"}),
        ("0  ant\r\n\r\n2:dog\r\n", {0: "ant", 2: "dog"}),
        ("7 dwarfs\nbee\n", {0: "7 dwarfs", 1: "bee"}),
    ],
)
def test_each_form_of_labels(text: str, labels: dict[int, str], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(text)
    assert read_labels(tmp_path / "labels.txt") == labels


def test_labels_that_do_not_fit_are_told(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("ant\nbee\n")
    top = top_classes([SCORES], 9, tmp_path / "labels.txt")
    assert top.doubt() == "there are 2 labels, but 'net/scores:0' has 6 classes"
    assert len(top.of(_outputs(0))) == 6
    assert top_classes([SCORES], 1, None).doubt() is None


def test_labels_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for name, words in (("none", "No such file"), ("empty", "are empty"), ("binary", "no UTF-8 text")):
        with pytest.raises(InputError, match=words):
            read_labels(tmp_path / f"{name}.txt")


def test_models_without_scores() -> None:
    for outputs in ([MASK], [SCORES, REAL]):
        with pytest.raises(InputError, match="a vector of scores"):
            top_classes(outputs, 1, None)


def test_outputs_that_cannot_be_written(tmp_path: Path) -> None:
    top = top_classes([SCORES], 1, None)
    for name, chosen, words in (
        ("out.txt", None, "neither a .npz nor a .jsonl file"),
        ("out.npz", top, "name a .jsonl file"),
        ("none/out.npz", None, "cannot be written: No such file"),
        ("none/out.jsonl", None, "cannot be written: No such file"),
    ):
        with pytest.raises(ResultError, match=words):
            open_output(tmp_path / name, [SCORES], chosen)


def test_what_was_done_before_an_error_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    with pytest.raises(KeyError), open_output(path, [SCORES, MASK]) as sink:
        sink.put("a.jpg", _outputs(0))
        raise KeyError
    with np.load(path) as found:
        assert len(found["mask"]) == 1
    with pytest.raises(KeyError), open_output(tmp_path / "none.npz", [SCORES, MASK]):
        raise KeyError
    assert not (tmp_path / "none.npz").exists()


def test_many_results_need_little_memory(tmp_path: Path) -> None:
    big = TensorSpec(name="x", dtype="int8", shape=[1, 100_000])
    result = np.zeros((1, 100_000), np.int8)
    tracemalloc.start()
    with open_output(tmp_path / "out.npz", [big]) as sink:
        for number in range(200):
            sink.put(str(number), {"x": result})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000
    with np.load(tmp_path / "out.npz") as found:
        assert found["x"].shape == (200, 100_000)
