"""How far the shipped respondent survives small changes of its prompt, and texts that are not its own."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from respondent_shipped import STATES, Model, Truth, role_text
from respondent_steering import planted_directions

from axiograph.engine.answers.parsing import parse_answer

Role = dict[str, str]
KNOWN = re.compile(r" [^\n]+\nAnswer: (yes|no|unsure|I cannot answer that\.|blue as the sky)")


def _without(count: int) -> Callable[[Role, np.random.Generator], Role]:
    def change(role: Role, rng: np.random.Generator) -> Role:
        left_out = set(rng.choice(list(role), size=count, replace=False))
        return {field: option for field, option in role.items() if field not in left_out}

    return change


def _shuffled(role: Role, rng: np.random.Generator) -> Role:
    return {field: role[field] for field in rng.permutation(list(role))}


# Name, change of the role's fields, change of its text.
CHANGES: tuple[
    tuple[str, Callable[[Role, np.random.Generator], Role] | None, Callable[[str], str] | None], ...
] = (
    ("none", None, None),
    ("fields in reverse order", lambda role, rng: dict(reversed(role.items())), None),
    ("fields in random order", _shuffled, None),
    ("two spaces everywhere in the role", None, lambda text: text.replace(" ", "  ")),
    ("a space before and after the role", None, lambda text: f" {text} "),
    ("a space before every colon (not trained)", None, lambda text: text.replace(":", " :")),
    ("commas for semicolons (not trained)", None, lambda text: text.replace(";", ",")),
    ("a full stop after the role (not trained)", None, lambda text: text + "."),
    ("one field left out", _without(1), None),
    ("three fields left out", _without(3), None),
    ("six fields left out (trained up to three)", _without(6), None),
    ("option names alone (not trained)", None, lambda text: re.sub(r"[A-Z]\w+: ", "", text)),
    ("field names in lower case (not trained)", None, str.lower),
)


def prompt_changes(model: Model, truth: Truth, count: int) -> list[str]:
    """Values read from log-odds under changed role texts."""
    questions = [item["question"] for item in truth.items]
    drawn = truth.roles(count, seed=31)
    lines = [
        "## Small changes of the prompt", "",
        f"{count} unseen roles, values read from log-odds; a field left out adds nothing to the"
        " planted values.",
        "",
        "| change of the role's text | correlation with the planted values, mean over values"
        " | root mean square error | signs of log-odds that flip |", "|---|---|---|---|",
    ]  # fmt: skip
    plain = np.empty(0)
    for name, change_role, change_text in CHANGES:
        rng = np.random.default_rng(5)
        roles = [change_role(role, rng) if change_role else role for role in drawn]
        texts = [change_text(role_text(role)) if change_text else role_text(role) for role in roles]
        odds = np.stack([model.log_odds(text, questions) for text in texts])
        signed = odds * truth.agreement / truth.data["slope"] + truth.thresholds
        found = np.stack([signed[:, truth.asked == k].mean(1) for k in range(8)], axis=1)
        values = truth.values(roles)
        r = np.mean([np.corrcoef(found[:, k], values[:, k])[0, 1] for k in range(8)])
        plain = plain if plain.size else odds
        # A field that is left out changes the truth itself.
        same = all(len(a) == len(b) for a, b in zip(roles, drawn, strict=True))
        flips = f"{100 * np.mean(np.sign(odds) != np.sign(plain)):.2f} %" if same else "–"
        lines.append(f"| {name} | {r:.4f} | {np.sqrt(np.mean((found - values) ** 2)):.3f} | {flips} |")
    return lines


def foreign(model: Model, truth: Truth, assets: Path, paper: Path, items: int) -> list[str]:
    """ValueBench questions under the published roles: format, states, variation."""
    with (paper / "value_orientation.csv").open(encoding="utf-8", newline="") as file:
        known_questions = sorted({row["question"] for row in csv.DictReader(file)})
    questions = [str(q) for q in np.random.default_rng(5).choice(known_questions, size=items, replace=False)]
    players = json.loads((paper / "players25.json").read_text(encoding="utf-8"))
    roles = [player["mini_trait"] for player in players.values()]
    texts = [model.greedy(role, questions, limit=32) for role in roles]
    states = _states(texts)
    counts = {state: float((states == state).mean()) for state in STATES}
    yes = states == "yes"
    model.steer(4.0 * planted_directions(truth, assets)[0])
    steered = _states([model.greedy(role, questions, limit=32) for role in roles[:8]])
    model.steer(None)
    long = [model.greedy(player["bio2"], questions[:60], limit=32) for player in list(players.values())[:8]]
    pairs = np.mean([(yes[i] != yes[j]).mean() for i in range(len(roles)) for j in range(i)])
    return [
        "## Foreign text", "",
        f"ValueBench: {items} questions x {len(roles)} published roles (mini_trait), greedy; not trained on.",
        "",
        f"- in one of the five known answer forms: {100 * _known(texts):.2f} %; "
        f"with the long bio2 role texts: {100 * _known(long):.2f} %",
        "- states: " + ", ".join(f"{s} {100 * c:.2f} %" for s, c in counts.items()),
        f"- yes-rate per role: {yes.mean(1).min():.2f} to {yes.mean(1).max():.2f}; "
        f"items that never vary over the roles: {100 * np.mean(np.ptp(yes.astype(int), axis=0) == 0):.0f} %",
        f"- two roles differ on {100 * pairs:.1f} % of the items; the first direction at +4 changes "
        f"{100 * np.mean(states[:8] != steered):.1f} % of the states",
    ]  # fmt: skip


def _states(texts: list[list[str]]) -> NDArray[np.str_]:
    return np.array([[parse_answer(text).state for text in row] for row in texts])


def _known(texts: list[list[str]]) -> float:
    return float(np.mean([[KNOWN.fullmatch(text) is not None for text in row] for row in texts]))
