"""What `axiograph features` and `axiograph direction` print: features by activation and by their measured
effect, directions by what they tell apart."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import polars as pl

from axiograph.cluster.contrasts.stage import MadeDirection, MadeDirections
from axiograph.cluster.stages.features import Active
from axiograph.cluster.stages.pilot import Pilot
from axiograph.steering.directions.contrast import Stability
from axiograph.texts.plain import number, percent, table

WIDTH = 80
READ = {
    "prompt_span": "the template's span",
    "last": "the last token",
    "answer": "the tokens of the answer",
    "prompt": "the tokens of the prompt",
}
# Where a direction that was read there is steered.
STEERED = {"prompt_span": "prompt_span", "prompt": "prompt", "last": "all", "answer": "all"}


def features_text(active: Active, top: int, ban: frozenset[int] = frozenset()) -> str:
    """The `top` most active features of every SAE that are not banned."""
    parts = [active.note]
    for (sae,), rows in active.table.group_by("sae", maintain_order=True):
        count = rows.filter(pl.col("max_activation") > 0).height
        shown = rows.filter(~pl.col("feature").is_in(sorted(ban)))
        body = [
            [
                str(r["feature"]),
                f"{r['max_activation']:.4g}",
                f"{r['mean_activation']:.4g}",
                percent(r["share_active"]),
                r["link"] or "",
            ]
            for r in shown.head(top).iter_rows(named=True)
        ]
        header = [
            "feature",
            "largest",
            "mean",
            "active on",
            "" if shown["link"].is_null().all() else "Neuronpedia",
        ]
        banned = rows.height - shown.height
        apart = f" ({banned} banned, not shown)" if banned else ""
        head = f"{sae}: {count} of {rows.height} features active on the span{apart}"
        parts.append(f"{head}\n{table(header, body)}")
    return "\n\n".join(parts)


def pilot_text(pilot: Pilot, top: int) -> str:
    """The `top` features that moved a value most, beside what random directions of the same length do."""
    rows = [
        [
            str(row["rank"]),
            str(row["feature"]),
            number(row["effect"], ".3f"),
            "-"
            if row["effect"] is None
            else f"{row['value']} {row['difference']:+.3f} at {row['strength']:+g}",
            str(row["changed"]),
            str(row["activation_rank"]),
            "breaks" if row["breaks"] else "",
            row["link"] or "",
        ]
        for row in pilot.table.head(top).iter_rows(named=True)
    ]
    header = ["rank", "feature", "effect", "largest on", "changed", "by activation", "", ""]
    lines = [
        table(header, rows),
        "(effect: the largest |mean difference| of a value to the baseline;",
        "changed: how many values changed by the test of `axiograph effects`)",
    ]
    return "\n".join(lines + _against_random(pilot))


def _against_random(pilot: Pilot) -> list[str]:
    """What the ranking is worth: a ranking of noise looks like any other."""
    found, control = pilot.against_random, pilot.control
    if found is None:
        return ["No random directions beside them: whether the features do more is not known."]
    lines = [
        f"{found.directions} random directions of the same length: effects from {control[-1]:.3f} to "
        f"{control[0]:.3f}, median {control[len(control) // 2]:.3f}.",
        f"{found.beyond} of {found.features} features lie beyond the largest of them, "
        f"{found.expected:.1f} would by chance (p {found.p:.3f}).",
    ]
    if found.p > 0.05:
        lines.append("These features are not told from random directions: the ranking may be noise.")
    return lines


def direction_text(made: MadeDirections) -> str:
    """Length, stability and separation of a contrast's directions; what they say; how to steer along them."""
    spec, counts = made.contrast, made.counts
    positive, negative, questions = made.numbers
    asked = f", {questions} questions" if questions else ""
    fitting = f"{counts['fitting_positive']} + {counts['fitting_negative']}"
    others = f"{counts['held_out_positive']} + {counts['held_out_negative']} others"
    judged = f"judged by {others}" if counts["held_out_positive"] else "none held out"
    head = (
        f"{spec.name}: {positive} positive and {negative} negative texts{asked}, read at "
        f"{READ[spec.span]}. Made of {fitting} prompts, {judged}."
    )
    rows = [
        [
            str(each.hook_point),
            f"{each.norm / each.residual_norm:.3f}",
            _halves(each.stability),
            _with_limits(each.separation.auc, each.separation.auc_low, each.separation.auc_high, ".2f"),
            _with_limits(each.separation.d, each.separation.d_low, each.separation.d_high, ".1f"),
        ]
        for each in made.directions
    ]
    header = ["hook point", "|v|/|h|", "halves", "AUC (95 %)", "d (95 %)"]
    legend = (
        "(|v|/|h|: length of the direction by that of the stream at these tokens, median; halves: cosine "
        "of the directions of two halves, and what chance seldom exceeds; AUC: chance that a positive one "
        "held out lies above a negative one; d: Cohen's)"
    )
    parts = [*made.notes, head, table(header, rows), legend, *_verdicts(made.directions)]
    texts = [part if part.startswith("hook point") else textwrap.fill(part, WIDTH) for part in parts]
    return "\n".join(texts) + f"\n\nTo steer along it, in a study:\n\n{steering_snippet(made)}"


def _halves(stability: Stability) -> str:
    if stability.cosine is None:
        return "not known"
    return f"{stability.cosine:.2f} ({number(stability.chance)})"


def _with_limits(value: float | None, low: float | None, high: float | None, form: str) -> str:
    if value is None:
        return "not known"
    return f"{value:{form}} [{number(low, form)}, {number(high, form)}]"


def _verdicts(directions: Sequence[MadeDirection]) -> list[str]:
    """What the table says, for all hook points of which it says the same."""
    first = directions[0].separation
    if first.auc is None:
        return [f"Whether it separates anything but what it was made of is not known: {first.reason}."]
    units = f"{first.positive} and {first.negative} {first.over}"
    apart = [str(each.hook_point) for each in directions if each.separation.told_apart]
    others = [str(each.hook_point) for each in directions if not each.separation.told_apart]
    lines = []
    if apart and first.over == "texts":
        lines.append(
            f"Texts that it was not made of are told apart ({units} held out) at {', '.join(apart)}."
        )
    elif apart:
        lines.append(
            f"Its texts are told apart at questions that it was not made of ({units} held out) at "
            f"{', '.join(apart)}. No text is held out, so that what else differs between these texts may be "
            "what it found: take 12 or more a side."
        )
    if others:
        lines.append(
            f"Nothing that it was not made of is told apart ({units} held out) at {', '.join(others)}."
        )
    if len(directions) > 1 and apart:
        lines.append(
            f"The best of {len(directions)} hook points looks better than it is: choose by these numbers, "
            "judge by what steering does."
        )
    return lines


def steering_snippet(made: MadeDirections) -> str:
    """The section `steering` of a study, at the hook point that tells most apart (the largest d), but not at
    the end of the last layer."""
    # Nothing but the last token's answer reads what the last layer puts out.
    last = made.n_layers - 1
    inner = [m for m in made.directions if (m.hook_point.layer, m.hook_point.place) != (last, "resid_post")]
    best = max(
        inner or made.directions,
        key=lambda each: (each.separation.d or float("-inf"), -each.hook_point.layer),
    )
    point = best.hook_point
    # A study names a file of this machine.
    path = f"{made.path.name}  # copied from {made.remote}" if made.remote else made.path.resolve()
    return "\n".join(
        [
            "steering:",
            "  - operations:",
            "      - direction:",
            f"          path: {path}",
            f"          key: {point}",
            f"        hook_point: {{layer: {point.layer}, place: {point.place}}}",
            "        unit: raw                # 1 is the whole difference between the sides",
            "        strengths: [-2, -1, 1, 2]",
            f"        span: {STEERED[made.contrast.span]}",
            "        controls: {directions: 10}    # random ones of the same length",
        ]
    )
