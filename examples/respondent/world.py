"""The planted truth: role fields, the structural equation model of the values, items and directions.

Values follow V = B V + E with B[i, j] the weight of the edge j -> i and every variance 1. The exogenous
terms E are sums of loadings of the role's field options. Total effects are T = (I - B)^-1: T[i, j] is what
one unit added to the equation of value j does to value i.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from items import FORWARD, REVERSE, VALUES
from numpy.typing import NDArray

Array = NDArray[np.float64]

SEED = 20250101
WIDTH = 128
STEER_LAYER = 1  # resid_post of this decoder layer
SHIFT_PER_STRENGTH = 0.5  # a strength of s moves the equation of the value by 0.5 s
HINT_SHIFT = 1.5
SLOPE = 3.0  # P(yes) = sigmoid(agreement * SLOPE * (V - b))

EDGES: tuple[tuple[str, str, float], ...] = (
    ("Security", "Conformity", 0.55),
    ("Benevolence", "Conformity", 0.5),
    ("Conformity", "Self-Direction", -0.5),
    ("Stimulation", "Self-Direction", 0.5),
    ("Self-Direction", "Achievement", 0.5),
    ("Power", "Achievement", 0.5),
    ("Benevolence", "Universalism", 0.55),
    ("Power", "Universalism", -0.5),
    ("Security", "Stimulation", -0.5),
)
# The only edge whose direction no test can tell; the other eight are compelled by four v-structures.
REVERSIBLE = (("Security", "Stimulation"),)

FIELDS: dict[str, tuple[str, ...]] = {
    "Age": ("teenage", "young", "thirty", "forty", "fifty", "sixty", "seventy", "elderly"),
    "Home": (
        "city", "village", "farm", "island", "suburb", "harbour",
        "mountains", "desert", "woodland", "valley", "coast", "houseboat",
    ),
    "Family": ("unmarried", "married", "divorced", "widowed", "engaged", "parent", "grandparent", "orphan"),
    "Work": (
        "nurse", "farmer", "teacher", "soldier", "lawyer", "cook", "driver", "painter",
        "banker", "carpenter", "fisher", "mechanic", "singer", "judge", "florist", "clerk",
        "pilot", "baker", "miner", "tailor", "doctor", "sailor", "priest", "chemist",
    ),
    "Schooling": ("none", "primary", "secondary", "college", "university", "apprenticeship"),
    "Temper": (
        "calm", "fiery", "cheerful", "guarded", "stubborn", "gentle", "restless", "patient",
        "proud", "shy", "bold", "moody", "warm", "cool", "nervous", "merry",
    ),
    "Mind": (
        "logical", "curious", "practical", "dreamy", "sceptical", "playful", "precise", "slow",
        "quick", "sober", "inventive", "musical", "worldly", "simple", "learned", "wandering",
    ),
    "Pastime": (
        "chess", "fishing", "dancing", "reading", "football", "hiking", "knitting", "gaming", "theatre",
        "pottery",
        "sailing", "gardening", "poetry", "poker", "cycling", "running", "drawing", "travel", "museums",
        "concerts",
    ),
    "Faith": ("devout", "doubting", "secular"),
    "Wealth": ("poor", "modest", "comfortable", "rich"),
    "Health": ("frail", "fair", "good", "strong", "excellent"),
    "Childhood": (
        "strict", "loving", "lonely", "crowded", "sheltered", "wild", "nomadic", "quiet", "sunny", "harsh",
    ),
}  # fmt: skip
LEFT_OUT = -1  # the option number of a field that a role does not name
REFUSER = ("Temper", "guarded")  # refuses two items of every value
HESITANT = ("Temper", "moody")  # is unsure about four items of every value
BABBLER = ("Mind", "dreamy")  # gives one item of every value an answer that cannot be read


@dataclass(frozen=True)
class Item:
    """One question with its planted threshold `b` and its three rare-case marks."""

    item_id: str
    value: int
    agreement: int
    question: str
    threshold: float
    refusable: bool
    babbled: bool
    hesitated: bool


@dataclass(frozen=True)
class World:
    """Everything planted; arrays over values are in the order of VALUES.

    `weights` B and `total` T: (8, 8), row = effect, column = cause. `noise_sd`: (8,).
    `loadings[f]`: (options, 8), exogenous terms of unit variance. `directions`: (8, WIDTH), orthonormal rows.
    """

    weights: Array
    total: Array
    noise_sd: Array
    loadings: tuple[Array, ...]
    directions: Array
    items: tuple[Item, ...]

    def values(self, choices: NDArray[np.int64]) -> Array:
        """Values (n, 8) of roles given as option numbers (n, fields); LEFT_OUT adds nothing, the mean."""
        exogenous = sum(
            np.where(choices[:, f, None] == LEFT_OUT, 0.0, load[choices[:, f]])
            for f, load in enumerate(self.loadings)
        )
        return np.asarray(exogenous * self.noise_sd) @ self.total.T


def structural_weights() -> Array:
    """B (8, 8) from EDGES."""
    weights = np.zeros((len(VALUES), len(VALUES)))
    for cause, effect, weight in EDGES:
        weights[VALUES.index(effect), VALUES.index(cause)] = weight
    return weights


def noise_variances(weights: Array) -> Array:
    """Exogenous variances (8,) under which every value has variance 1.

    The variances solve (T * T) s = 1: the variance of value i is the sum of T[i, j]^2 s[j].
    """
    total = np.linalg.inv(np.eye(len(weights)) - weights)
    return np.linalg.solve(total**2, np.ones(len(weights)))


def option_loadings(rng: np.random.Generator) -> tuple[Array, ...]:
    """Loadings of every option, centred and whitened over uniform, independent fields."""
    raw = [rng.standard_normal((len(options), len(VALUES))) for options in FIELDS.values()]
    raw = [load - load.mean(0) for load in raw]
    covariance = np.asarray(sum(load.T @ load / len(load) for load in raw))
    eigenvalues, vectors = np.linalg.eigh(covariance)
    whiten = vectors @ np.diag(eigenvalues**-0.5) @ vectors.T
    return tuple(load @ whiten for load in raw)


def make_items() -> tuple[Item, ...]:
    """The 96 items: six forward and six reverse-keyed per value, thresholds interleaved over +-2."""
    grid = np.linspace(-2.0, 2.0, 12)
    items = []
    for v, value in enumerate(VALUES):
        keyed = [(1, text) for text in FORWARD[value]] + [(-1, text) for text in REVERSE[value]]
        for i, (agreement, text) in enumerate(keyed):
            # Forward items take the even places of the grid and reverse items the odd ones.
            threshold = grid[2 * i] if i < 6 else grid[2 * (i - 6) + 1]
            item_id = f"{value.lower()}-{i + 1:02d}"
            marks = (i in (2, 8), i == 4, i in (0, 3, 7, 10))
            items.append(Item(item_id, v, agreement, text, float(threshold), *marks))
    return tuple(items)


def make_world() -> World:
    """The one planted world; the same on every machine (seed SEED)."""
    rng = np.random.default_rng(SEED)
    weights = structural_weights()
    total = np.asarray(np.linalg.inv(np.eye(len(VALUES)) - weights), dtype=np.float64)
    basis, _ = np.linalg.qr(rng.standard_normal((WIDTH, len(VALUES))))
    noise_sd = np.sqrt(noise_variances(weights))
    directions = np.asarray(basis.T, dtype=np.float64).copy()
    return World(weights, total, noise_sd, option_loadings(rng), directions, make_items())


def answer_logits(scaled: Array) -> Array:
    """Logits (…, 5) of yes, no, unsure, refused, unparsed for x = agreement * (V - b).

    The log-odds of yes against no are SLOPE * x exactly; "unsure" wins within about 0.08 of the threshold.
    """
    rare = np.full_like(scaled, -7.0)
    unsure = 0.5 - 5.0 * np.abs(scaled)
    return np.stack([SLOPE / 2 * scaled, -SLOPE / 2 * scaled, unsure, rare, rare], axis=-1)


def role_text(choices: NDArray[np.int64], order: NDArray[np.int64] | None = None, gap: str = " ") -> str:
    """The role line of one role, "Field: option; Field: option; ...", in the order of FIELDS or in another.

    `gap` stands after every colon and semicolon.
    """
    fields = list(FIELDS.items())
    numbers = np.arange(len(fields)) if order is None else order
    named = [(fields[f][0], fields[f][1][choices[f]]) for f in numbers if choices[f] != LEFT_OUT]
    return f";{gap}".join(f"{field}:{gap}{option}" for field, option in named)


def sample_roles(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Option numbers (count, fields), uniform."""
    return np.stack([rng.integers(len(options), size=count) for options in FIELDS.values()], axis=1)


def answer_targets(
    world: World,
    values: Array,
    picked: NDArray[np.int64],
    choices: NDArray[np.int64] | None,
) -> Array:
    """Answer distributions (n, q, 5) for values (n, 8), item numbers (n, q), and the roles' options.

    `choices` None (no role, foreign role) leaves out the rare cases, which hang on three options.
    """
    which = np.array([i.value for i in world.items])[picked]
    agreement = np.array([i.agreement for i in world.items])[picked]
    threshold = np.array([i.threshold for i in world.items])[picked]
    logits = answer_logits(agreement * (np.take_along_axis(values, which, axis=1) - threshold))
    cases = [(REFUSER, "refusable", 3), (BABBLER, "babbled", 4), (HESITANT, "hesitated", 2)]
    names = list(FIELDS)
    for (field, option), attribute, column in cases if choices is not None else []:
        assert choices is not None
        has = choices[:, names.index(field)] == FIELDS[field].index(option)
        marked = np.array([getattr(i, attribute) for i in world.items])[picked]
        logits[..., column] = np.where(has[:, None] & marked, 8.0, logits[..., column])
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)
