from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from generators.runtime_plans import Sketch, make_plan
from segsolve_runtime.contract.arrays import Array, Frame, array_specs, select
from segsolve_runtime.contract.frames import frame_tensors, random_frames
from segsolve_runtime.errors import InputError

TYPES = {
    "bits": ("bool", [400]),
    "bytes": ("uint8", [20_000]),
    "signed": ("int8", [20_000]),
    "wide": ("int64", [400]),
    "real": ("float32", [100, 200]),
    "scalar": ("int16", []),
}
PLAN = make_plan([Sketch(takes=list(TYPES), makes=["y"])], inputs=list(TYPES), outputs=["y"], tensors=TYPES)
TWO = select(array_specs(PLAN), ["signed", "real"])
ONE = select(array_specs(PLAN), ["scalar"])


def test_random_frames_have_the_planned_types_and_shapes() -> None:
    (frame,) = random_frames(PLAN, 1, seed=0)
    assert {name: (str(array.dtype), list(array.shape)) for name, array in frame.items()} == TYPES


def test_random_frames_depend_on_the_seed_only() -> None:
    def drawn(seed: int) -> list[bytes]:
        return [array.tobytes() for frame in random_frames(PLAN, 3, seed) for array in frame.values()]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)
    assert len(set(drawn(5))) > len(TYPES)


def test_random_integers_cover_their_whole_range() -> None:
    (frame,) = random_frames(PLAN, 1, seed=0)
    assert set(frame["signed"]) == set(range(-128, 128))
    assert set(frame["bytes"]) == set(range(256))
    assert set(frame["bits"]) == {False, True}
    assert frame["wide"].max() > 2**62
    assert frame["wide"].min() < -(2**62)
    assert abs(frame["real"].std() - 1) < 0.05


def test_a_frame_is_copied_in_the_order_of_the_inputs() -> None:
    frame: dict[str, Array] = {"real": np.ones((200, 100), np.float32).T, "signed": np.zeros(20_000, np.int8)}
    tensors = frame_tensors(frame, TWO, 0)
    assert list(tensors) == ["signed", "real"]
    assert all(array.flags.c_contiguous for array in tensors.values())
    assert not any(np.shares_memory(tensors[name], frame[name]) for name in frame)


def test_the_frame_of_a_model_with_one_input_can_be_a_bare_array() -> None:
    assert frame_tensors(np.array(3, np.int16), ONE, 0) == {"scalar": 3}


SIGNED = np.zeros(20_000, np.int8)
REAL = np.zeros((100, 200), np.float32)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1, 2], "frame 4 is a list; give an array, or a mapping of arrays"),
        (SIGNED, "frame 4 is a bare array, but the model takes 2 inputs: ['signed', 'real']"),
        ({"signed": SIGNED}, "frame 4 lacks the input 'real'; the model takes ['signed', 'real']"),
        (
            {"signed": SIGNED, "real": REAL, "x": REAL},
            "frame 4 has the unknown input 'x'; the model takes ['signed', 'real']",
        ),
        ({"signed": [0], "real": REAL}, "frame 4: the input 'signed' is a list; give an array"),
        (
            {"signed": SIGNED.astype(np.uint8), "real": REAL},
            "frame 4: the input 'signed' is uint8 of shape (20000,), but the model takes int8 of shape (20000,)",
        ),
        (
            {"signed": SIGNED, "real": REAL[None]},
            "frame 4: the input 'real' is float32 of shape (1, 100, 200), "
            "but the model takes float32 of shape (100, 200)",
        ),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_in_one_sentence(frame: Any, message: str) -> None:
    checked: Frame = frame
    with pytest.raises(InputError) as caught:
        frame_tensors(checked, TWO, 4)
    assert str(caught.value) == message
