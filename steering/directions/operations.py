"""Steering operations with their vectors: from the points of a study to what is done to the stream.

With v the released direction, u = v / |v| and s the strength, an operation at a stream row h is

    add          h + s · c · w          clamp   h + (s · c · |w| − u·h) u        project_out   h − (u·h) u

    clamp_feature    see steering.directions.clamping; the unit is 1 (raw) or a (max_activation)

where the unit fixes c · w:  raw 1 · v;  unit_norm 1 · u;  max_activation a · v with a the largest
activation of the feature in a recorded `features` run;  residual_norm m · u with m the median L2 norm of
the unsteered stream on the span. A control (steering.directions.controls) takes the place of v with v's
length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from axiograph.engine.errors import InputError
from axiograph.engine.identity import digest, digest_json
from axiograph.engine.study.conditions import Condition, OperationPoint
from axiograph.engine.study.steering import HookPointSpec, SaeSource
from axiograph.steering.directions.clamping import FeatureClamp, feature_clamp
from axiograph.steering.directions.controls import control_direction, control_feature, with_norm_of
from axiograph.steering.directions.files import control_vector_layer, file_name, read_direction
from axiograph.steering.directions.saes import Sae, check_layer, load_sae
from axiograph.steering.directions.steered_model import SteeredModel

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Operation:
    """A resolved operation; all tensors [d_model], float32, on the CPU.

    add: `vector` is s · c · w, added as it is.
    clamp, project_out: `axis` is u and `target` the component along u afterwards, in stream units.
    clamp_feature: `clamp`.
    """

    kind: str
    span: str
    hook_point: HookPointSpec
    vector: torch.Tensor | None
    axis: torch.Tensor | None
    target: float
    clamp: FeatureClamp | None = None

    @property
    def digest(self) -> bytes:
        parts = [t.numpy().tobytes() for t in (self.vector, self.axis) if t is not None]
        parts += [] if self.clamp is None else [self.clamp.digest]
        plan = [self.kind, self.span, self.hook_point.layer, self.hook_point.place, self.target]
        return digest(digest_json(plan), *parts)

    @property
    def is_idle(self) -> bool:
        """Whether it is meant to change nothing: the strength is 0."""
        return self.vector is not None and not bool(self.vector.any())

    @property
    def may_rest(self) -> bool:
        """Whether it may leave a stream as it is: an activation set to 0 is often 0 already."""
        return self.is_idle or (self.clamp is not None and self.clamp.target == 0)


@dataclass
class Directions:
    """Loads SAEs and direction files once; remembers what they are for the manifest (`digests`) and what a
    person should know of them (`notes`): each thing once, in the order in which it came up."""

    d_model: int
    n_layers: int
    model: SteeredModel = field(default_factory=SteeredModel)
    _saes: dict[SaeSource, Sae] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    _notes: dict[str, None] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        return list(self._notes)

    def sae(self, source: SaeSource) -> Sae:
        if source not in self._saes:
            sae = load_sae(source, self.d_model, self.n_layers, self.model)
            self._saes[source] = sae
            self.digests[sae.name] = sae.digest.hex()
            self._notes.update(dict.fromkeys(sae.notes))
        return self._saes[source]

    def hook_point(self, point: OperationPoint) -> HookPointSpec:
        """Where `point` acts: as the study says, otherwise where its SAE was trained."""
        told, where = point.hook_point, f"study, steering {point.label}, field hook_point"
        if told is not None:
            check_layer(told, self.n_layers, where)
        if point.sae is not None:
            return self._sae_hook_point(self.sae(point.sae), point)
        assert told is not None and point.spec.direction is not None
        layer = control_vector_layer(point.spec.direction)
        if layer is not None and told != HookPointSpec(layer=layer):
            self._note(
                f"{file_name(point.spec.direction)} is the output of layer {layer} by llama.cpp's count, and "
                f"steers at {told}, as the study says."
            )
        return told

    def _sae_hook_point(self, sae: Sae, point: OperationPoint) -> HookPointSpec:
        if point.kind != "project_out":  # which has no strength to be in a unit
            self._notes.update((text, None) for unit, text in sae.unit_notes if unit == point.unit)
        told, site = point.hook_point, sae.writes
        if told is None:
            if site.point is not None and not site.is_stream:
                self._note(
                    f"{sae.name} writes to {site.name}, which is added to the stream: its rows are added at "
                    f"{site.point}, to the same effect. A clamp there is one of the whole stream."
                )
            return sae.hook_point
        sae.check_told()
        # Another layer than the SAE's is a legitimate experiment.
        if told != site.point:
            trained = f"was trained at {site.name}" if site.name else "does not say where it was trained"
            self._note(f"{sae.name} {trained}, and steers at {told}, as the study says.")
        return told

    def _note(self, text: str) -> None:
        self._notes[text] = None

    def vector(self, point: OperationPoint) -> torch.Tensor:
        """The direction v, [d_model]: as released, or the control in its place."""
        released = self._released(point)
        if point.control is None:
            return released
        name = f"control {point.label.rpartition(':')[0]} (seed {point.spec.controls.seed})"  # type: ignore[union-attr]
        if point.control.kind == "direction":
            random = with_norm_of(control_direction(point, self.d_model), released)
            self.digests[name] = digest(random.numpy().tobytes()).hex()
            return random
        assert point.sae is not None
        sae = self.sae(point.sae)
        feature = control_feature(point, sae)
        self.digests[name] = f"feature {feature} of {sae.name}"
        return with_norm_of(sae.direction(feature), released)

    def clamped(self, point: OperationPoint, target: float) -> FeatureClamp:
        """The clamp of the point's feature, or of the control in its place."""
        assert point.sae is not None and point.feature is not None
        sae = self.sae(point.sae)
        feature = point.feature if point.control is None else control_feature(point, sae)
        if point.control is not None:
            self.vector(point)  # records which one it is
        return feature_clamp(sae, feature, target)

    def _released(self, point: OperationPoint) -> torch.Tensor:
        if point.sae is not None:
            assert point.feature is not None
            return self.sae(point.sae).direction(point.feature)
        assert point.spec.direction is not None
        vector, identity = read_direction(point.spec.direction, self.d_model)
        self.digests[file_name(point.spec.direction)] = identity.hex()
        return vector


@dataclass(frozen=True)
class Scales:
    """What the units max_activation and residual_norm are multiples of, measured beforehand.

    max_activation: (SAE name, feature) → largest activation in the recorded `features` run.
    residual_norm: str(hook point) → median L2 norm of the baseline stream on the span.
    """

    max_activation: Mapping[tuple[str, int], float] = field(default_factory=dict)
    residual_norm: Mapping[str, float] = field(default_factory=dict)


def resolve_conditions(
    conditions: Sequence[Condition], directions: Directions, scales: Scales
) -> dict[str, tuple[Operation, ...]]:
    """Operations of every steered condition, by its name."""
    return {
        condition.name: tuple(_resolve(point, directions, scales) for point in condition.operations)
        for condition in conditions
        if condition.is_steered
    }


def _resolve(point: OperationPoint, directions: Directions, scales: Scales) -> Operation:
    import torch

    hook_point = directions.hook_point(point)
    if point.kind == "clamp_feature":
        assert point.strength is not None
        unit = 1.0 if point.unit == "raw" else _largest_activation(point, directions, scales)
        clamp = directions.clamped(point, point.strength * unit)
        return Operation(point.kind, point.span, hook_point, None, None, 0.0, clamp)
    v = directions.vector(point)
    # In float64, since float32 sums differ between machines in the last digit, and with it the identity.
    norm = float(v.double().norm())
    if not bool(torch.isfinite(v).all()) or norm == 0:
        raise InputError(
            f"study, steering {point.label}",
            "a direction of finite numbers, not all zero",
            "zeros only" if norm == 0 else "NaN or infinity",
            "Choose another feature or file.",
        )
    unit_vector = (v.double() / norm).float()
    scaled = _unit_vector(point, v, unit_vector, hook_point, directions, scales)
    if point.kind == "project_out":
        return Operation(point.kind, point.span, hook_point, None, unit_vector, 0.0)
    assert point.strength is not None
    vector = point.strength * scaled
    if not bool(vector.norm().isfinite()):
        raise InputError(
            f"study, steering {point.label}", "a finite vector", "overflow", "Use a smaller strength."
        )
    if point.kind == "add":
        return Operation(point.kind, point.span, hook_point, vector, None, 0.0)
    target = point.strength * float(scaled.double().norm().float())
    return Operation(point.kind, point.span, hook_point, None, unit_vector, target)


def _unit_vector(
    point: OperationPoint,
    v: torch.Tensor,
    u: torch.Tensor,
    hook_point: HookPointSpec,
    directions: Directions,
    scales: Scales,
) -> torch.Tensor:
    """c · w of the module's formulas."""
    if point.kind == "project_out" or point.unit == "raw":
        return v
    if point.unit == "unit_norm":
        return u
    if point.unit == "residual_norm":
        return scales.residual_norm[str(hook_point)] * u
    return _largest_activation(point, directions, scales) * v


def _largest_activation(point: OperationPoint, directions: Directions, scales: Scales) -> float:
    assert point.sae is not None and point.feature is not None
    sae = directions.sae(point.sae)
    _ = sae.reading_point  # refuses one whose activations cannot be read, whatever was recorded
    name = sae.name
    largest = scales.max_activation.get((name, point.feature))
    if not largest:
        raise InputError(
            f"study, steering {point.label}, unit max_activation",
            f"an activation of feature {point.feature} in a recorded features run",
            "none" if largest is None else "activation 0 everywhere",
            "Run `axiograph features STUDY` first, choose an active feature or use another unit.",
        )
    return largest


def steering_digests(resolved: Mapping[str, Sequence[Operation]]) -> dict[str, bytes]:
    """One digest per steered condition: its operations, in order, with their vectors."""
    return {name: digest(*(op.digest for op in operations)) for name, operations in resolved.items()}
