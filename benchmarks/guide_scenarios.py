"""What guided steering is tried on: the three kinds of wishes of the built-in respondent."""

from __future__ import annotations

from dataclasses import dataclass

VALUES = (
    "Security",
    "Conformity",
    "Benevolence",
    "Stimulation",
    "Self-Direction",
    "Universalism",
    "Power",
    "Achievement",
)


@dataclass(frozen=True)
class Scenario:
    """`without`: values whose own feature is not among the levers."""

    kind: str
    raised: tuple[str, ...] = ()
    lowered: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        parts = [f"raise {v}" for v in self.raised] + [f"lower {v}" for v in self.lowered]
        parts += [f"hold {', '.join(self.held)}"] if self.held else []
        return ", ".join(parts) + (f" (no feature of {', '.join(self.without)})" if self.without else "")


SINGLE, HOLD, UPSTREAM = "single target", "hold a descendant", "no own feature"


def scenarios() -> list[Scenario]:
    found = [Scenario(SINGLE, raised=(f"{value}=1sd",)) for value in VALUES]
    found += [
        Scenario(SINGLE, lowered=(f"{value}=1sd",)) for value in ("Security", "Power", "Self-Direction")
    ]
    found += [
        Scenario(HOLD, raised=("Power=1sd",), held=("Achievement",)),
        Scenario(HOLD, raised=("Power=1sd",), held=("Achievement", "Universalism")),
        Scenario(HOLD, raised=("Security=1sd",), held=("Conformity",)),
        Scenario(HOLD, raised=("Benevolence=1sd",), held=("Universalism",)),
        Scenario(HOLD, lowered=("Conformity=1sd",), held=("Self-Direction",)),
        Scenario(HOLD, raised=("Stimulation=1sd",), held=("Self-Direction",)),
        Scenario(HOLD, lowered=("Self-Direction=1sd",), held=("Achievement",)),
        Scenario(UPSTREAM, raised=("Achievement=0.5sd",), without=("Achievement",)),
        Scenario(UPSTREAM, raised=("Achievement=0.5sd",), held=("Universalism",), without=("Achievement",)),
        Scenario(
            UPSTREAM, raised=("Self-Direction=0.5sd",), held=("Conformity",), without=("Self-Direction",)
        ),
        Scenario(UPSTREAM, lowered=("Universalism=0.5sd",), without=("Universalism",)),
        Scenario(UPSTREAM, raised=("Conformity=0.5sd",), held=("Universalism",), without=("Conformity",)),
    ]
    return found
