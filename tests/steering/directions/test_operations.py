"""Directions, units and operations by hand; every direction file that must be refused."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from axiograph.engine.errors import InputError
from axiograph.engine.study.conditions import Condition, OperationPoint
from axiograph.engine.study.steering import DirectionFile, HookPointSpec, OperationSpec, SaeSource
from axiograph.steering.directions.operations import (
    Directions,
    Operation,
    Scales,
    resolve_conditions,
    steering_digests,
)
from tests import tiny

POINT = HookPointSpec(layer=2, place="resid_pre")
VECTOR = torch.zeros(tiny.WIDTH)
VECTOR[0], VECTOR[5] = 3.0, -4.0  # of length 5


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sae(tmp_path_factory):
    return SaeSource(path=tiny.save_sae(tmp_path_factory.mktemp("sae") / "sae"))


@pytest.fixture
def file(tmp_path):
    save_file({"direction": VECTOR, "twice": 2 * VECTOR}, tmp_path / "joy.safetensors")
    return DirectionFile(path=tmp_path / "joy.safetensors")


def directions():
    return Directions(tiny.WIDTH, tiny.LAYERS)


def resolve(scales=Scales(), strength=2.0, feature=None, **spec):  # noqa: B008
    """The one operation of a condition with the given specification."""
    kind = spec.get("kind", "add")
    strengths = () if kind == "project_out" else (strength,)
    features = () if feature is None else (feature,)
    full = OperationSpec(strengths=strengths, features=features, **spec)
    point = OperationPoint(full, feature, None if kind == "project_out" else strength)
    return resolve_conditions([Condition("c", (point,))], directions(), scales)["c"][0]


def row(sae, feature):
    return load_file(sae.path / "sae_weights.safetensors")["W_dec"][feature]


def test_units_of_an_added_direction(file, sae):
    scales = Scales({(f"SAE {sae.path}", 7): 1.5}, {"resid_pre.2": 10.0, "resid_post.1": 20.0})
    v, u = VECTOR, VECTOR / 5
    plain = {"direction": file, "hook_point": POINT}
    assert torch.equal(resolve(unit="raw", **plain).vector, 2 * v)
    assert torch.allclose(resolve(unit="unit_norm", **plain).vector, 2 * u)
    assert torch.allclose(resolve(scales, unit="residual_norm", **plain).vector, 2 * 10 * u)
    w = row(sae, 7)
    feature = {"sae": sae, "feature": 7, "strength": -3.0}
    assert torch.equal(resolve(unit="raw", **feature).vector, -3 * w)
    assert torch.allclose(resolve(unit="unit_norm", **feature).vector, -3 * w / w.norm())
    assert torch.allclose(resolve(scales, unit="max_activation", **feature).vector, -3 * 1.5 * w)
    # An SAE's own hook point decides which norm.
    assert torch.allclose(resolve(scales, unit="residual_norm", **feature).vector, -3 * 20 * w / w.norm())
    assert torch.allclose(
        resolve(scales, unit="residual_norm", hook_point=POINT, **feature).vector, -3 * 10 * w / w.norm()
    )


def test_units_of_a_clamp_are_lengths(file, sae):
    scales = Scales({(f"SAE {sae.path}", 7): 1.5}, {"resid_pre.2": 10.0})
    plain = {"direction": file, "hook_point": POINT, "kind": "clamp"}
    for unit, target in (("raw", 2 * 5.0), ("unit_norm", 2.0), ("residual_norm", 20.0)):
        operation = resolve(scales, unit=unit, **plain)
        assert operation.vector is None
        assert torch.allclose(operation.axis, VECTOR / 5)
        assert operation.target == pytest.approx(target)
    operation = resolve(scales, strength=-2.0, unit="max_activation", sae=sae, feature=7, kind="clamp")
    assert operation.target == pytest.approx(-2 * 1.5 * float(row(sae, 7).norm()))


def test_project_out_has_an_axis_and_no_length(file):
    operation = resolve(direction=file, hook_point=POINT, kind="project_out")
    assert (operation.kind, operation.vector, operation.target) == ("project_out", None, 0.0)
    assert torch.allclose(operation.axis, VECTOR / 5)
    assert not operation.is_idle


def test_hook_points(file, sae):
    assert resolve(sae=sae, feature=0).hook_point == HookPointSpec(layer=1, place="resid_post")
    assert resolve(sae=sae, feature=0, hook_point=POINT).hook_point == POINT
    assert resolve(direction=file, hook_point=POINT).hook_point == POINT
    far = HookPointSpec(layer=3)
    for spec in ({"direction": file}, {"sae": sae, "feature": 0}):
        with pytest.raises(InputError, match="hook_point: expected a layer from 0 to 2, found layer 3"):
            resolve(hook_point=far, **spec)


def test_another_key(file):
    other = DirectionFile(path=file.path, key="twice")
    assert torch.equal(resolve(direction=other, hook_point=POINT).vector, 4 * VECTOR)


def test_strength_zero_is_idle(file):
    for strength in (0.0, -0.0):
        operation = resolve(direction=file, hook_point=POINT, strength=strength)
        assert operation.is_idle and not bool(operation.vector.any())
    assert not resolve(direction=file, hook_point=POINT, strength=1e-30).is_idle
    assert not resolve(direction=file, hook_point=POINT, strength=0.0, kind="clamp").is_idle


def test_feature_out_of_range(sae):
    with pytest.raises(InputError, match="from 0 to 63, found 64"):
        resolve(sae=sae, feature=64)


def test_max_activation_needs_an_active_feature(sae):
    with pytest.raises(InputError, match=r"features run, found none.*axiograph features"):
        resolve(unit="max_activation", sae=sae, feature=7)
    silent = Scales({(f"SAE {sae.path}", 7): 0.0})
    with pytest.raises(InputError, match="found activation 0 everywhere"):
        resolve(silent, unit="max_activation", sae=sae, feature=7)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def bad_files(folder):
    """(file, what the error says was found or expected)"""

    def saved(name, **tensors):
        save_file(tensors, folder / f"{name}.safetensors")
        return folder / f"{name}.safetensors"

    nan, infinite = VECTOR.clone(), VECTOR.clone()
    nan[3], infinite[3] = float("nan"), float("inf")
    yield saved("key", joy=VECTOR, power=2 * VECTOR), "the key 'direction', found joy, power"
    yield saved("long", direction=torch.ones(48)), r"the model's width 32, found shape \(48,\)"
    yield saved("matrix", direction=torch.ones(1, 32)), r"found shape \(1, 32\)"
    yield saved("scalar", direction=torch.tensor(1.0)), r"found shape \(\)"
    yield saved("zeros", direction=torch.zeros(32)), "found zeros only"
    yield saved("nan", direction=nan), "found NaN or infinity"
    yield saved("infinite", direction=infinite), "found NaN or infinity"
    damaged = saved("damaged", direction=VECTOR)
    damaged.write_bytes(damaged.read_bytes()[:-7])
    yield damaged, "a readable safetensors file"
    text = folder / "text.safetensors"
    text.write_text("direction = 1, 2, 3")
    yield text, "a readable safetensors file"
    pickled = folder / "pickled.safetensors"
    pickled.write_bytes(pickle.dumps(Bomb(folder / "exploded")))
    yield pickled, "a readable safetensors file"
    torched = folder / "torched.safetensors"
    torch.save({"direction": VECTOR}, torched)
    yield torched, "a readable safetensors file"
    yield folder / "missing.safetensors", "a readable safetensors file"
    yield folder, "a readable safetensors file"


def test_bad_direction_files(tmp_path):
    for path, found in bad_files(tmp_path):
        with pytest.raises(InputError, match=found):
            resolve(direction=DirectionFile(path=path), hook_point=POINT)
    assert not (tmp_path / "exploded").exists()


def test_overflow_is_refused(file):
    with pytest.raises(InputError, match=r"finite vector, found overflow"):
        resolve(direction=file, hook_point=POINT, strength=3e38)
    with pytest.raises(InputError, match="overflow"):
        resolve(direction=file, hook_point=POINT, strength=3e38, kind="clamp")


def operation(**changes):
    fields = {
        "kind": "add", "span": "prompt", "hook_point": POINT, "vector": VECTOR, "axis": None, "target": 0.0
    }  # fmt: skip
    return Operation(**(fields | changes))


def test_digests_tell_everything_apart():
    """Whatever changes the answer changes the digest (DESIGN 2), the order of operations included."""
    nudged = VECTOR.clone()
    nudged[1] = 1e-6
    different = [
        operation(),
        operation(span="all"),
        operation(hook_point=HookPointSpec(layer=1, place="resid_pre")),
        operation(hook_point=HookPointSpec(layer=2, place="resid_post")),
        operation(vector=nudged),
        operation(vector=None, axis=VECTOR, kind="project_out"),
        operation(vector=None, axis=VECTOR, kind="clamp"),
        operation(vector=None, axis=VECTOR, kind="clamp", target=1.0),
    ]
    assert len({op.digest for op in different}) == len(different)
    assert operation().digest == operation(vector=VECTOR.clone()).digest
    a, b = different[:2]
    digests = steering_digests({"ab": (a, b), "ba": (b, a), "a": (a,), "again": (a, b)})
    assert len({digests["ab"], digests["ba"], digests["a"]}) == 3
    assert digests["again"] == digests["ab"]


def test_only_steered_conditions_are_resolved(file):
    spec = OperationSpec(direction=file, hook_point=POINT, strengths=(1.0,))
    steered = Condition("s", (OperationPoint(spec, None, 1.0), OperationPoint(spec, None, 2.0)))
    kept = directions()
    resolved = resolve_conditions([Condition("baseline"), steered], kept, Scales())
    assert list(resolved) == ["s"]
    assert [float(op.vector[0]) for op in resolved["s"]] == [3.0, 6.0]
    assert list(kept.digests) == [f"direction {file.path}"]


def test_an_sae_is_loaded_once(sae):
    kept = directions()
    assert kept.sae(sae) is kept.sae(SaeSource(path=sae.path))
    assert kept.digests == {f"SAE {sae.path}": kept.sae(sae).digest.hex()}


@settings(max_examples=40, deadline=None)
@given(strength=st.one_of(st.just(0.0), st.floats(1e-6, 1e6), st.floats(-1e6, -1e-6)))
def test_strength_is_the_length_in_unit_norm(tmp_path_factory, strength):
    path = tmp_path_factory.getbasetemp() / "linear.safetensors"
    if not path.is_file():
        save_file({"direction": VECTOR}, path)
    spec = {"direction": DirectionFile(path=path), "hook_point": POINT, "unit": "unit_norm"}
    vector = resolve(strength=strength, **spec).vector
    assert float(vector.norm()) == pytest.approx(abs(strength), rel=1e-5)
    assert float(vector @ VECTOR) == pytest.approx(5 * strength, rel=1e-5)
