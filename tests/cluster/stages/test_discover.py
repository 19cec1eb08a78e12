from pathlib import Path

from axiograph.cluster.stages.discover import indicator_table
from axiograph.engine.study.conditions import Condition, Hint, OperationPoint
from axiograph.engine.study.steering import HookPointSpec, OperationSpec, SaeSource

ADD = OperationSpec(sae=SaeSource(path=Path("sae")), features=(3, 5), strengths=(-2.0, 2.0))
CLAMP = OperationSpec(kind="clamp", sae=SaeSource(path=Path("sae")), features=(3,), strengths=(0.0, 7.0))
OUT = OperationSpec(kind="project_out", sae=SaeSource(path=Path("sae")), features=(3,))


def steered(name: str, *points: tuple[OperationSpec, int, float | None]) -> Condition:
    return Condition(name, tuple(OperationPoint(*point) for point in points))


def test_a_direction_is_one_column_with_its_strength():
    table = indicator_table(
        [
            Condition("baseline"),
            steered("f3:-2", (ADD, 3, -2.0)),
            steered("f3:+2", (ADD, 3, 2.0)),
            steered("both", (ADD, 3, 2.0), (ADD, 5, -2.0)),
        ]
    )
    assert table.to_dict(as_series=False) == {
        "condition": ["baseline", "f3:-2", "f3:+2", "both"],
        "steering f3": [0, -2, 2, 2],
        "steering f5": [0, 0, 0, -2],
    }


def test_clamps_projections_and_hints_are_there_or_not():
    hint = Condition("hint more", hint=Hint("more", "inclined", "Power"))
    table = indicator_table(
        [
            Condition("baseline"),
            steered("zero", (CLAMP, 3, 0.0)),
            steered("seven", (CLAMP, 3, 7.0)),
            steered("out", (OUT, 3, None)),
            hint,
        ]
    )
    assert table.drop("condition").to_dict(as_series=False) == {
        "steering f3:=0": [0, 1, 0, 0, 0],
        "steering f3:=7": [0, 0, 1, 0, 0],
        "steering f3:out": [0, 0, 0, 1, 0],
        "hint more": [0, 0, 0, 0, 1],
    }


def test_the_same_feature_at_another_hook_point_is_another_column():
    other = ADD.model_copy(update={"hook_point": HookPointSpec(layer=4)})
    table = indicator_table([steered("here", (ADD, 3, 2.0)), steered("there", (other, 3, 2.0))])
    assert table.columns == ["condition", "steering f3 (1)", "steering f3 (2)"]
    assert table.rows() == [("here", 2.0, 0.0), ("there", 0.0, 2.0)]
