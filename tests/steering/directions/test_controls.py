"""Controls: as long as what they stand in for, seeded, none of the steered features."""

from __future__ import annotations

import pytest
import torch

from axiograph.engine.errors import InputError
from axiograph.engine.study.conditions import Control, OperationPoint, expand_conditions
from axiograph.engine.study.loading import parse_study
from axiograph.engine.study.steering import ControlsSpec, OperationSpec, SaeSource
from axiograph.steering.directions.operations import Directions, Scales, resolve_conditions
from tests import studies, tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.save_sae(tmp_path_factory.mktemp("sae") / "sae")


def conditions(folder, **operation):
    steered = {"sae": {"path": str(folder)}, "features": [3, 5], "strengths": [1, 2], **operation}
    data = studies.bare(steering=[{"operations": [steered]}])
    return [c for c in expand_conditions(parse_study(data, "study", folder)) if c.is_steered]


def resolved(folder, **operation):
    directions = Directions(tiny.WIDTH, tiny.LAYERS)
    scales = Scales({(f"SAE {folder}", 3): 2.0, (f"SAE {folder}", 5): 3.0}, {"resid_post.1": 7.0})
    found = resolve_conditions(conditions(folder, **operation), directions, scales)
    return {name: ops[0] for name, ops in found.items()}, directions


BOTH = {"controls": {"features": 2, "directions": 1, "seed": 4}}


def test_names_and_order(folder):
    names = [c.name for c in conditions(folder, **BOTH)]
    wanted = ["f3", "f3~feature1", "f3~feature2", "f3~direction1"]
    assert names[:8] == [f"{name}:+{s}" for name in wanted for s in (1, 2)]
    assert names[8] == "f5:+1" and len(names) == 16
    # What was asked before the controls keeps its name and its steering.
    assert [n for n in names if "~" not in n] == [c.name for c in conditions(folder)]


@pytest.mark.parametrize("unit", ["raw", "unit_norm", "max_activation", "residual_norm"])
def test_controls_are_as_long_in_every_unit(folder, unit):
    found, _ = resolved(folder, unit=unit, **BOTH)
    for feature in (3, 5):
        length = found[f"f{feature}:+2"].vector.norm()
        for control in ("feature1", "feature2", "direction1"):
            vector = found[f"f{feature}~{control}:+2"].vector
            assert float(vector.norm()) == pytest.approx(float(length), rel=1e-5)
            assert float(vector @ found[f"f{feature}:+2"].vector) / float(length) ** 2 < 0.9


def test_a_random_feature_is_a_row_of_the_sae_and_recorded(folder):
    found, directions = resolved(folder, **BOTH)
    rows = torch.nn.functional.normalize(tiny.sae.__wrapped__(tiny.WIDTH, 64).W_dec.detach(), dim=1)
    drawn = []
    for control in ("f3~feature1", "f3~feature2", "f5~feature1", "f5~feature2"):
        unit = torch.nn.functional.normalize(found[f"{control}:+1"].vector, dim=0)
        drawn.append(int((rows @ unit).argmax()))
        assert float((rows @ unit).max()) == pytest.approx(1.0, abs=1e-5)
        assert directions.digests[f"control {control} (seed 4)"].startswith(f"feature {drawn[-1]} of SAE")
    assert not {3, 5} & set(drawn)
    assert drawn[0] != drawn[1] and drawn[2] != drawn[3]
    assert "control f3~direction1 (seed 4)" in directions.digests


def test_the_seed_decides_and_more_controls_change_none(folder):
    once, _ = resolved(folder, **BOTH)
    more, _ = resolved(folder, controls={"features": 4, "directions": 3, "seed": 4})
    assert all(once[name].digest == more[name].digest for name in once)
    other, _ = resolved(folder, controls={"features": 2, "directions": 1, "seed": 5})
    assert all(once[name].digest != other[name].digest for name in once if "~" in name)
    assert all(once[name].digest == other[name].digest for name in once if "~" not in name)


def test_excluded_features_are_not_drawn(folder):
    keep = {3, 5, 17}
    left = [f for f in range(64) if f not in keep]
    _, directions = resolved(folder, controls={"features": 1, "exclude": left})
    assert all(
        text.startswith("feature 17 of") for name, text in directions.digests.items() if "control" in name
    )
    with pytest.raises(InputError, match="found 0 left"):
        resolved(folder, controls={"features": 1, "exclude": [*left, 17]})


def test_a_clamp_takes_a_random_feature_of_its_own_encoder(folder):
    found, directions = resolved(folder, kind="clamp_feature", controls={"features": 1})
    feature = int(directions.digests["control f3~feature1 (seed 0)"].split()[1])
    sae = tiny.sae.__wrapped__(tiny.WIDTH, 64)
    assert torch.equal(found["f3~feature1:a=2"].clamp.reader, sae.W_enc[:, feature].detach())


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"controls": {}}, "how many controls"),
        ({"kind": "clamp_feature", "controls": {"directions": 1}}, "controls.features' only"),
        ({"kind": "clamp_feature", "unit": "unit_norm"}, "'unit: raw' or 'max_activation'"),
        ({"kind": "clamp_feature", "strengths": [-1]}, "activations are never less"),
        ({"kind": "clamp_feature", "hook_point": {"layer": 1}}, "reads one place only"),
    ],
)
def test_what_makes_no_sense_is_refused(folder, operation, message):
    with pytest.raises(InputError) as error:
        conditions(folder, **operation)
    assert message in str(error.value)


def test_a_control_of_a_direction_file_is_that_of_the_seed(tmp_path):
    spec = OperationSpec(
        sae=SaeSource(path=tmp_path), features=(3,), strengths=(1.0,), controls=ControlsSpec(directions=1)
    )
    point = OperationPoint(spec, 3, 1.0, Control("direction", 1))
    assert point.label == "f3~direction1:+1"
