"""The people of this example: `roles.csv`, each with a job and three of five traits, high or low at random.

    python examples/smollm2/make_roles.py > examples/smollm2/roles.csv

Which traits a person has, and which way, is drawn independently: whatever hangs together in the answers comes
from the model."""

from __future__ import annotations

import csv
import random
import sys

TRAITS = {
    "Extraversion": ("loves parties and talks to everyone", "is shy, quiet and hardly ever talks"),
    "Agreeableness": ("is warm and helps everyone", "is cold and does not care about others"),
    "Conscientiousness": ("is orderly and always on time", "is messy and forgets what was promised"),
    "Emotional Stability": ("is calm whatever happens", "is anxious and easily upset"),
    "Intellect": ("is full of ideas and loves art and books", "has no interest in ideas or books"),
}
NAMES = ("Sam", "Kim", "Alex", "Robin", "Chris", "Jo", "Lee", "Max", "Pat", "Dana")
JOBS = ("nurse", "farmer", "teacher", "clerk", "cook", "driver", "lawyer", "painter", "baker", "soldier")
ROLES, EACH = 60, 3


def roles(count: int = ROLES, seed: int = 0) -> list[tuple[str, str]]:
    """(name, text), no text twice."""
    draw, texts = random.Random(seed), dict[str, None]()
    while len(texts) < count:
        parts = [TRAITS[value][draw.random() < 0.5] for value in draw.sample(list(TRAITS), EACH)]
        who = f"{draw.choice(NAMES)} is a {draw.choice(JOBS)} who"
        texts[f"{who} {', '.join(parts[:-1])} and {parts[-1]}."] = None
    return [(f"person-{number:03}", text) for number, text in enumerate(texts)]


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("name", "text"))
    writer.writerows(roles())
