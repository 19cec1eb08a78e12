"""The section `steering` of a study file: operations on the residual stream, or grids of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from axiograph.engine.study.fields import Finite, Spec
from axiograph.engine.study.strengths import GRID


class SaeSource(Spec):
    """An SAE by sae-lens' release and id, or a directory in sae-lens' format."""

    release: str | None = None
    id: str | None = None
    path: Path | None = None

    @model_validator(mode="after")
    def _one_source(self) -> SaeSource:
        if (self.path is None) == (self.release is None):
            raise ValueError("either 'release' and 'id', or 'path'")
        if (self.release is None) != (self.id is None):
            raise ValueError("'release' and 'id' together")
        return self


class DirectionFile(Spec):
    """One vector `[d_model]` under `key` in a safetensors file, a PyTorch file (.pt, .pth: tensors only) or a
    GGUF control vector (.gguf, keys `direction.N`); `row`: of a tensor `[rows, d_model]`, counted from 0."""

    path: Path
    key: str = "direction"
    row: int | None = Field(default=None, ge=0)


class HookPointSpec(Spec):
    """`resid_post` of layer L is the output of decoder layer L, `resid_pre` its input."""

    layer: int = Field(ge=0)
    place: Literal["resid_pre", "resid_post"] = "resid_post"

    def __str__(self) -> str:
        return f"{self.place}.{self.layer}"


Unit = Literal["raw", "unit_norm", "max_activation", "residual_norm"]
FeatureNumber = Annotated[int, Field(ge=0)]


class ControlsSpec(Spec):
    """For every steered direction, `features` random features of its SAE and `directions` random directions,
    each as long as it (the same L2 norm), under the same strengths. `exclude`: features not to be drawn
    beside the steered ones."""

    features: int = Field(default=0, ge=0)
    directions: int = Field(default=0, ge=0)
    exclude: tuple[FeatureNumber, ...] = ()
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _some(self) -> ControlsSpec:
        if not self.features + self.directions:
            raise ValueError("'features' or 'directions' above 0: how many controls")
        return self


class OperationSpec(Spec):
    """One steering operation, or a grid of them: every feature with every strength (a list, or a grid as in
    engine.study.strengths).

    `add` adds strength × unit × direction; `clamp` sets the component along the unit direction to
    strength × unit (its length in stream units); `project_out` removes that component and takes no strength.
    `clamp_feature` sets the activation that the SAE's encoder reads to strength × unit (raw: 1, or
    max_activation) and keeps what the SAE does not reconstruct.
    """

    kind: Literal["add", "clamp", "project_out", "clamp_feature"] = "add"
    sae: SaeSource | None = None
    direction: DirectionFile | None = None
    features: tuple[FeatureNumber, ...] = ()
    strengths: Annotated[tuple[Finite, ...], GRID] = ()
    unit: Unit = "raw"
    span: Literal["prompt_span", "prompt", "generated", "all"] = "prompt_span"
    hook_point: HookPointSpec | None = None
    controls: ControlsSpec | None = None

    @model_validator(mode="after")
    def _coherent(self) -> OperationSpec:
        if (self.sae is None) == (self.direction is None):
            raise ValueError("either 'sae' with 'features', or 'direction'")
        if self.sae is not None and not self.features:
            raise ValueError("'features', the list of feature numbers, beside 'sae'")
        if self.direction is not None and self.features:
            raise ValueError("'features' beside 'sae' only, not beside 'direction'")
        if self.direction is not None and self.hook_point is None:
            raise ValueError("'hook_point' beside 'direction': a plain vector does not say where it lives")
        if self.direction is not None and self.unit == "max_activation":
            raise ValueError("another unit beside 'direction': 'max_activation' is that of an SAE feature")
        if (self.kind == "project_out") != (not self.strengths):
            raise ValueError("'strengths' for 'add' and clamps, none for 'project_out'")
        if self.kind == "clamp_feature":
            self._check_clamp_feature()
        if self.controls is not None and self.controls.features and self.sae is None:
            raise ValueError("'controls.directions' beside 'direction': only an SAE has random features")
        for name, numbers in (("features", self.features), ("strengths", self.strengths)):
            if len(set(numbers)) != len(numbers):
                raise ValueError(f"every number once in '{name}'")
        return self

    def _check_clamp_feature(self) -> None:
        if self.sae is None:
            raise ValueError("'sae' beside 'kind: clamp_feature', whose encoder reads the activation")
        if self.unit not in ("raw", "max_activation"):
            raise ValueError("'unit: raw' or 'max_activation' beside 'kind: clamp_feature'")
        if self.hook_point is not None:
            raise ValueError("no 'hook_point' beside 'kind: clamp_feature': its encoder reads one place only")
        if self.controls is not None and self.controls.directions:
            raise ValueError("'controls.features' only beside 'kind: clamp_feature'")
        if min(self.strengths) < 0:
            raise ValueError(
                "strengths of 0 or more beside 'kind: clamp_feature': activations are never less"
            )


class SteeringSpec(Spec):
    """A list of operations applied together; grids inside them multiply into conditions. What adds 0 times a
    direction is the baseline and not asked again (DESIGN 18), unless it is wanted as a `negative_control`: a
    condition that goes through all of the steering and changes nothing. None: not wanted, but kept where the
    run has asked it already."""

    operations: tuple[OperationSpec, ...] = Field(min_length=1)
    name: str | None = None
    negative_control: bool | None = None
