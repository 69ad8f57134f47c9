"""Detections from each kind of outputs, their places in the picture, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsolve_runtime.contract.arrays import Array
from segsolve_runtime.contract.plan import TensorSpec
from segsolve_runtime.errors import InputError
from segsolve_runtime.io.detections import Detection, apart, detector, on_original, ssd_anchors
from segsolve_runtime.io.outputs import open_output
from segsolve_runtime.io.pictures import draw_on_file, draw_on_pixels, save
from segsolve_runtime.io.pixels import Canvas

SQUARE = Canvas(width=300, height=300, channels=3)


def spec(name: str, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, dtype="float32", shape=list(shape))


def named(specs: list[TensorSpec], *arrays: object) -> dict[str, Array]:
    return {s.name: np.array(a, np.float32).reshape(s.shape) for s, a in zip(specs, arrays, strict=True)}


BOXES = [[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1], [9, 9, 9, 9]]  # top, left, bottom, right
TF1 = [spec("p", 1, 3, 4), spec("p:1", 1, 3), spec("p:2", 1, 3), spec("p:3", 1)]
TF2 = [spec("s:1", 1, 3), spec("s:3", 1, 3, 4), spec("s:0", 1), spec("s:2", 1, 3)]
NAMED = [spec("detection_scores", 1, 3), spec("boxes", 1, 3, 4), spec("classes", 1, 3), spec("n", 1)]


@pytest.mark.parametrize(
    ("specs", "order"),
    [(TF1, ("boxes", "classes", "scores", "n")), (TF2, ("scores", "boxes", "n", "classes")),
     (NAMED, ("scores", "boxes", "classes", "n"))],
    ids=["the operation's order", "TensorFlow 2's order", "by name"],
)  # fmt: skip
def test_post_processed_outputs(specs: list[TensorSpec], order: tuple[str, ...]) -> None:
    values = {"boxes": BOXES, "classes": [3, 0, 7], "scores": [0.6, 0.9, 0.99], "n": [2]}
    outputs = named(specs, *(values[name] for name in order))
    first, second = detector(specs, SQUARE, 0.5).of("x", outputs)
    assert (first.index, first.box) == (0, (0, 0, 1, 1))
    assert second.index == 3
    assert second.box == pytest.approx((0.2, 0.1, 0.6, 0.5))
    assert len(detector(specs, SQUARE, 0.7).of("x", outputs)) == 1


@pytest.mark.parametrize(("side", "count"), [(300, 1917), (320, 2034)])
def test_the_anchors_of_published_models(side: int, count: int) -> None:
    anchors = ssd_anchors(Canvas(width=side, height=side, channels=3))
    assert anchors.shape == (count, 4)
    assert anchors[0] == pytest.approx([0.5 / (-(-side // 16)), 0.5 / (-(-side // 16)), 0.1, 0.1])
    assert anchors[-1, :2] == pytest.approx([0.5, 0.5])


def test_a_raw_ssd_is_decoded_from_its_anchors() -> None:
    specs = [spec("raw_boxes", 1, 1917, 4), spec("raw_scores", 1, 1917, 3)]
    offsets, scores = np.zeros((1917, 4)), np.full((1917, 3), -9.0)
    scores[1200, 2], offsets[1200] = 4, [10, 0, 5 * np.log(2), 0]
    (found,) = detector(specs, SQUARE).of("x", named(specs, offsets, scores))
    cy, cx, height, width = ssd_anchors(SQUARE)[1200]
    assert found.index == 1
    assert found.score == pytest.approx(1 / (1 + np.exp(-4)))
    expected = (cx - width / 2, cy, cx + width / 2, cy + 2 * height)
    assert found.box == pytest.approx(expected)


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("version", ["v5", "v8"])
def test_yolo(version: str, pixels: bool) -> None:
    rows = np.zeros((40, 7 if version == "v5" else 6), np.float32)
    size = 300 if pixels else 1
    rows[3, :4] = rows[4, :4] = np.array([0.5, 0.4, 0.2, 0.1]) * size
    rows[4, 0] += 0.01 * size
    rows[3:5, 4:] = [[0.9, 0.1, 0.8], [0.9, 0.1, 0.7]] if version == "v5" else [[0.1, 0.72], [0.1, 0.63]]
    specs = [spec("y", 1, 40, 7) if version == "v5" else spec("y", 1, 6, 40)]
    outputs = {"y": (rows if version == "v5" else rows.T)[None]}
    (found,) = detector(specs, SQUARE).of("x", outputs)  # the other overlaps it
    assert found.index == 1
    assert found.score == pytest.approx(0.72)
    assert found.box == pytest.approx((0.4, 0.35, 0.6, 0.45))


def test_boxes_of_different_classes_may_overlap() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [0, 0, 1, 0.95]])
    _, classes, scores = apart(boxes, np.array([[0.9, 0], [0, 0.8], [0.7, 0]]))
    assert (classes.tolist(), scores.tolist()) == ([0, 1], [0.9, 0.8])


def test_outputs_that_are_no_detector() -> None:
    with pytest.raises(InputError, match=r"the model has scores \[1, 1000\]"):
        detector([spec("scores", 1, 1000)], SQUARE)


@pytest.mark.parametrize(
    ("size", "fit", "expected"),
    [((600, 300), "stretch", (0.5, 0.5, 1, 1)), ((600, 300), "crop", (0.5, 0.5, 0.75, 1)),
     ((600, 300), "pad", (0.5, 0.5, 1, 1.5)), ((300, 600), "crop", (0.5, 0.5, 1, 0.75)),
     ((300, 600), "pad", (0.5, 0.5, 1.5, 1))],
)  # fmt: skip
def test_a_box_is_placed_in_the_picture(size: tuple[int, int], fit: str, expected: tuple[float, ...]) -> None:
    assert on_original((0.5, 0.5, 1, 1), size, SQUARE, fit) == expected  # type: ignore[arg-type]


CAT = Detection(index=0, label="cat", score=0.9, box=(0.25, 0.25, 0.75, 0.75))


def test_boxes_are_drawn_where_the_objects_are(tmp_path: Path) -> None:
    Image.new("RGB", (400, 200), "white").save(tmp_path / "a b.png")
    picture = draw_on_file(tmp_path / "a b.png", [CAT])
    drawn = np.asarray(picture)
    assert drawn.shape == (200, 400, 3)
    coloured = np.argwhere((drawn == [0xD5, 0x5E, 0]).all(2))
    assert coloured.max(0).tolist() == [149, 299]
    assert coloured[:, 1].min() == 99
    assert (drawn[100, 200] == 255).all()  # nothing inside of it
    path = save(picture, tmp_path, 7, str(tmp_path / "a b.png"))
    assert path.name == "000007_a_b.jpg"
    with Image.open(path) as written:
        assert written.size == (400, 200)


def test_the_models_own_image_can_be_drawn_on() -> None:
    assert draw_on_pixels(np.zeros((30, 60, 1), np.uint8), [CAT]).size == (60, 30)


def test_lines_of_json(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("person\nbicycle\n")
    reader = detector(TF1, SQUARE, 0.7, tmp_path / "labels.txt")
    with open_output(tmp_path / "out.jsonl", TF1, reader) as sink:
        sink.put("a.jpg", named(TF1, BOXES, [3, 0, 7], [0.6, 0.9, 0.99], [2]))
    line = '{"frame":0,"input":"a.jpg","detections":[{"index":0,"label":"person","score":0.9,"box":[0.0,0.0,1.0,1.0]}]}'
    assert (tmp_path / "out.jsonl").read_text() == line + "\n"
