"""Tensors and plans for these tests."""

from __future__ import annotations

from collections.abc import Mapping

from generators.runtime_plans import Sketch, make_plan
from segsolve_runtime.contract.plan import Plan, TensorSpec

IMAGE = TensorSpec(name="image", dtype="uint8", shape=[1, 4, 6, 3], scale=1 / 128, zero_point=128)
SIGNED = IMAGE.model_copy(update={"dtype": "int8", "zero_point": 0})
FLOAT = TensorSpec(name="image", dtype="float32", shape=[1, 4, 6, 3])
VECTOR = TensorSpec(name="vector", dtype="int8", shape=[1, 5], scale=0.5, zero_point=-3)


def plan_of(*inputs: TensorSpec) -> Plan:
    """Return a plan whose model takes these inputs."""
    names = [spec.name for spec in inputs]
    tensors: Mapping[str, tuple[str, list[int]]] = {spec.name: (spec.dtype, spec.shape) for spec in inputs}
    plan = make_plan([Sketch(takes=names, makes=["y"])], inputs=names, outputs=["y"], tensors=tensors)
    described = [next((spec for spec in inputs if spec.name == t.name), t) for t in plan.tensors]
    return plan.model_copy(update={"tensors": described})
