"""Which items every role is asked where a study asks a share of them (DESIGN 14).

A role's draw holds a value's keys in the proportion of all its items, as nearly as whole items allow, and the
same numbers for every role of a split, so that no draw is easier to say yes to than another by its keys.
Within a key, items are dealt like cards: every item comes to equally many roles, give or take one, so that
over the roles all draws are equally difficult before any answer is known. What is left of a draw's difficulty
is taken out of contents.

Draws only ever grow: roles that join later are dealt to after the others, items that join later are dealt
from a deck of their own. (engine.study.split.draw is the draw of earlier versions, which their runs keep.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from axiograph.engine.study.questionnaire import Item
from axiograph.engine.study.split import by_generation, rank


def stratified_draws(
    roles: Sequence[str],
    items: Sequence[Item],
    generation: Mapping[str, int],
    share: float,
    *key: object,
) -> dict[str, set[str]]:
    """The ids of the items of one value that each role is asked: round(share × n) of n items, at least one.

    `roles` in the order in which they are dealt to, those that joined later last; `generation`: of every
    item; `key`: what the hashes behind the deals depend on."""
    drawn: dict[str, set[str]] = {role: set() for role in roles}
    keys = {item.item_id: item.agreement for item in items}
    seen: list[str] = []
    counts = {1: 0, -1: 0}
    for number, joined in enumerate(by_generation([item.item_id for item in items], generation)):
        seen += joined
        wanted = max(1, round(share * len(seen)))
        totals = {sign: sum(keys[item] == sign for item in seen) for sign in counts}
        goal = keyed_counts(totals, wanted, counts, *key)
        for sign in counts:
            fresh = [item for item in joined if keys[item] == sign]
            more = goal[sign] - counts[sign]
            for role, hand in _dealt(roles, fresh, min(more, len(fresh)), *key, number, sign).items():
                drawn[role] |= hand
            if more > len(fresh):
                old = [item for item in seen if keys[item] == sign]
                for role in roles:
                    rest = sorted(set(old) - drawn[role], key=lambda item: (rank(*key, role, item), item))
                    drawn[role].update(rest[: more - len(fresh)])
        counts = goal
    return drawn


def keyed_counts(
    totals: Mapping[int, int], wanted: int, least: Mapping[int, int], *key: object
) -> dict[int, int]:
    """How many of `wanted` items are keyed +1 and −1, in the proportion of `totals`, at least `least` of
    each.

    Where both are as near, the key that the hash of `key` says has one more: over many values it is
    either."""
    exact = wanted * totals[1] / sum(totals.values())
    positive = int(exact)
    if exact - positive > 0.5 or (exact - positive == 0.5 and rank(*key, "key")[0] % 2):
        positive += 1
    positive = min(max(positive, least[1], wanted - totals[-1]), totals[1], max(wanted - least[-1], least[1]))
    return {1: positive, -1: max(wanted - positive, least[-1])}


def _dealt(roles: Sequence[str], items: Sequence[str], count: int, *key: object) -> dict[str, set[str]]:
    """`count` different items for each role in turn, from decks of all `items`, each shuffled by a hash."""
    hands: dict[str, set[str]] = {}
    deck: list[str] = []
    decks = 0
    for role in roles:
        hand: set[str] = set()
        while len(hand) < count:
            if not deck:
                deck = sorted(items, key=lambda item: (rank(*key, decks, item), item), reverse=True)
                decks += 1
                # What the hand holds already goes to the bottom.
                deck = [item for item in deck if item in hand] + [item for item in deck if item not in hand]
            hand.add(deck.pop())
        hands[role] = hand
    return hands
