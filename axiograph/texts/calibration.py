"""What `axiograph calibrate` prints: how far a study of this size can be trusted."""

from __future__ import annotations

from typing import Any

from axiograph.discovery.calibration.planted_studies import Calibration
from axiograph.discovery.calibration.recommendation import ENOUGH, FEWEST_GRAPHS, TOO_FEW
from axiograph.discovery.calibration.summary import HIGH
from axiograph.texts.plain import number, percent, table

_WHICH = {"graph": "graph (consensus)", "all_roles": "one search on all roles", "averaged": "averaged"}
_KIND = {"adjacent": "edge (either way)", "directed": "direct cause a → b", "ancestor": "ancestor a → … → b"}
Row = dict[str, Any]


def calibration_text(calibration: Calibration) -> str:
    """Expected errors, what frequencies mean, power of effects, and how many roles are enough."""
    parts = [
        _head(calibration),
        _errors(calibration),
        _frequencies(calibration),
        _effects(calibration),
        _roles(calibration),
    ]
    return "\n\n".join(part for part in parts if part)


def _head(calibration: Calibration) -> str:
    design, analysis = calibration.study.design, calibration.study.analysis
    each = len(design.owner) / design.values
    answers = "log-odds" if design.mode == "logprob" else "greedy answers"
    if design.temperature is not None:
        answers = f"sampled answers, {design.repeats} an item"
    lines = [
        f"{calibration.count} planted graphs: {design.values} values, {each:.3g} items each, "
        f"{design.train_roles} training and {design.test_roles} test roles, {answers}, "
        f"alpha {analysis.discovery.alpha:g}.",
        f"Random graphs with {calibration.study.edges_per_value:.3g} edges a value, answers with the noise "
        "measured on the built-in respondent;",
        "a model that answers less clearly, or whose values hang together more densely, does worse.",
    ]
    lines += [
        f"{count} planted graphs without a result ({reason})." for reason, count in calibration.failed.items()
    ]
    lines += [f"{count} without effects ({reason})." for reason, count in calibration.effects_failed.items()]
    return "\n".join(lines)


def _errors(calibration: Calibration) -> str:
    rows = [_error_row(_WHICH[row["which"]], row) for row in calibration.summary["expected"]]
    return f"Expected errors, means over planted graphs ± standard error\n\n{table(_ERROR_HEADER, rows)}"


_ERROR_HEADER = ["", "SHD", "of edges", "exactly right", "skeleton F1", "arrowhead F1", "precision", "recall"]


def _error_row(name: str, row: Row) -> list[str]:
    return [
        name,
        with_error(row.get("shd"), row.get("shd_error")),
        number(row.get("planted_edges"), ".1f"),
        percent(row.get("exact")),
        with_error(row.get("skeleton_f1"), row.get("skeleton_f1_error")),
        with_error(row.get("arrowhead_f1"), row.get("arrowhead_f1_error")),
        number(row.get("skeleton_precision")),
        number(row.get("skeleton_recall")),
    ]


def with_error(mean: float | None, error: float | None) -> str:
    """mean ± standard error."""
    return number(mean) if error is None else f"{number(mean)} ± {error:.2f}"


def _frequencies(calibration: Calibration) -> str:
    rows = [
        [
            f"{row['from']:.1f} to {row['to']:.1f}",
            f"{row['pairs']:,}",
            number(row["mean_frequency"]),
            share_text(row, "true"),
        ]
        for row in calibration.summary["frequencies"]
        if row["kind"] == "adjacent" and row["pairs"]
    ]
    lines = [
        "What a frequency means: of the pairs that are adjacent in such a share of the replicates, how many "
        "are so in truth",
        "",
        table(["frequency", "pairs", "mean", "true [95 %]"], rows),
        "",
    ]
    for row in calibration.summary["high"]:
        share = share_text(row, "true") if row["pairs"] else "no such pair"
        lines.append(f"  frequency {HIGH:g} or more, {_KIND[row['kind']]}: {share} true of {row['pairs']:,}")
    return "\n".join([*lines, *_arrow_lines(calibration.summary["arrows"])])


def _arrow_lines(arrows: Row) -> list[str]:
    """Of the arrows that a reader takes for sure: right, turned round, or where there is no edge."""
    head = f"  arrows of the graph with a frequency of {arrows['from']:g} or more: "
    if not arrows["n"]:
        return [f"{head}none"]
    words = {"right": "point the right way", "reversed": "are reversed", "none": "join what no edge joins"}
    shares = [f"    {share_text(arrows[name])} {text}" for name, text in words.items()]
    return [f"{head}{arrows['n']:,}, of which", *shares]


def share_text(row: Row, name: str = "share") -> str:
    """share [low, high], as percentages."""
    low, high = (row[f"{name}_{end}"] if name == "true" else row[end] for end in ("low", "high"))
    if row[name] is None:
        return "-"
    if low is None or high is None:
        return percent(row[name])
    return f"{100 * row[name]:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


_RATES = {
    "false_discovery_rate": "false discovery rate: of what is found changed, how much did not move",
    "any_false": "a study finds any value changed that did not move",
    "power": "power: a value that moved is found changed",
    "power_steered": "the steered value itself is found changed",
    "power_strong": "a descendant moved by 0.25 or more is found changed",
    "power_slight": "a descendant moved by less is found changed",
    "false_alarm": "a value that is no descendant is found changed",
    "descendants_expected": "a true descendant is expected by the found graph",
    "descendants_possible": "a true descendant is possible by the found graph",
    "descendants_unexpected": "a true descendant is unexpected by the found graph",
    "unexpected_changes_wrong": "a change called unexpected is one that the planted graph expects",
}


def _effects(calibration: Calibration) -> str:
    if calibration.effects.is_empty():
        return ""
    design, rates = calibration.study.design, calibration.summary["effects"]
    roles = sum(design.effect_roles.values())
    rows = [[text, share_text(rates[name]), f"{rates[name]['of']:,}"] for name, text in _RATES.items()]
    contrast = calibration.summary["contrast"]
    rows.append(
        [
            f"expected changes more often than shuffled names (p ≤ {contrast['level']:g})",
            share_text(contrast),
            f"{contrast['of']:,}",
        ]
    )
    head = (
        f"Effects on {roles} roles, {design.conditions} conditions that each move one value by "
        f"{design.shift:g} standard deviation"
    )
    return f"{head}\n\n{table(['how often', 'share [95 %]', 'of'], rows)}"


def _roles(calibration: Calibration) -> str:
    rows = [
        [
            f"{row['roles']:,}"
            + (" (the study)" if row["roles"] == calibration.study.design.train_roles else ""),
            with_error(row.get("shd"), row.get("shd_error")),
            with_error(row.get("skeleton_f1"), row.get("skeleton_f1_error")),
            with_error(row.get("arrowhead_f1"), row.get("arrowhead_f1_error")),
            with_error(row["shd_of_values"], row["shd_of_values_error"]),
        ]
        for row in calibration.summary["sweep"]
    ]
    header = ["training roles", "SHD", "skeleton F1", "arrowhead F1", "SHD, perfect measurement"]
    head = "How many roles (consensus of half-samples of them)"
    return f"{head}\n\n{table(header, rows)}\n\n{_advice(calibration)}"


def _advice(calibration: Calibration) -> str:
    advice, roles = calibration.summary["recommendation"], calibration.study.design.train_roles
    f1 = {row["roles"]: number(row.get("skeleton_f1")) for row in calibration.summary["sweep"]}
    lines = [f"{_enough(advice, roles, f1)}{_rising(advice)}", f"({advice['rule']})"]
    better = advice["graph"]
    if better != "graph":
        shd = {row["which"]: number(row["shd"]) for row in calibration.summary["expected"]}
        lines.append(f"Nearer to the truth here: {_WHICH[better]}, SHD {shd[better]} against {shd['graph']}.")
    return "\n".join(lines)


def _enough(advice: Row, roles: int, f1: dict[int, str]) -> str:
    enough, most, graphs = advice["roles"], advice["most"], advice["graphs"]
    if most is None:
        return "Recommendation: not known; too few numbers of roles gave graphs."
    if graphs < FEWEST_GRAPHS:
        return (
            f"Recommendation: not known from {graphs} planted graphs; {FEWEST_GRAPHS} or more are needed "
            "(--graphs)."
        )
    if advice["verdict"] == ENOUGH:
        short = advice["surely_too_few"]
        below = "" if short is None else f" {short:,} are too few."
        return (
            f"Recommendation: {enough:,} training roles are enough, with a skeleton F1 of {f1[enough]}; the "
            f"study has {roles:,}.{below}"
        )
    if advice["verdict"] == TOO_FEW:
        return (
            f"Recommendation: more than {most:,} training roles, or fewer values, more items or clearer "
            f"answers: at {most:,} the skeleton F1 is {f1[most]}, and no number below is enough."
        )
    short = advice["surely_too_few"]
    known = "" if short is None else f" {short:,} are too few;"
    return (
        f"Recommendation: not known.{known} these {graphs} planted graphs leave open whether more roles are "
        f"enough: at {most:,} the skeleton F1 is {f1[most]}. More planted graphs may settle it (--graphs)."
    )


def _rising(advice: Row) -> str:
    if not advice["rising"]:
        return ""
    return (
        "\nWith still more roles the errors grow, as tests then take measurement error for edges: more items "
        "or repeats,\nmode logprob, a smaller alpha or discovery.correction help there."
    )
