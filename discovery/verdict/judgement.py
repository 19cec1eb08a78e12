"""The verdict on a graph, in words: whether there is one, how far it can be relied on, what stands against
it, and what would be needed to know more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from axiograph.discovery.verdict.accuracy import Accuracy, expected_accuracy, roles_needed
from axiograph.discovery.verdict.evidence import FREQUENT, GraphEvidence
from axiograph.engine.scoring.reliability import WEAK_ALPHA

LEVEL = 0.05  # of the test against chance
ONE_WORD = 0.95  # of the answers: such a questionnaire tells no role from another
STYLE = 0.25  # of the variance of scores
EXTREMITY = 0.5  # co-kurtosis: correlations of unrelated values then scatter as with a third fewer roles
LOW_RECALL = 0.6
_WANTED = (0.8, 0.9)  # share of true edges that are found, of arrows that point the right way


class Level(StrEnum):
    """What can be said at all."""

    GRAPH = "graph"
    LINES = "lines"  # edges, none with a direction
    UNSETTLED = "unsettled"  # more than chance, but no edge that holds
    NOTHING = "nothing"
    UNKNOWN = "unknown"  # not compared with chance


@dataclass(frozen=True)
class Answering:
    """What a run knows of the answers behind the scores. `style_share`: the part of the variance of roles'
    plain scores that is saying yes whatever is asked, None where it is not told from chance;
    `style_taken_out`: whether the scores behind the graph are contents without it; `weak`: values whose
    alpha is below WEAK_ALPHA, with it, None where it is undefined; `values`: how many there are; `word`,
    `word_share`: the most frequent answer to the baseline and its share; `unscored`: the share that is
    refused, unparsed or unfinished."""

    style_share: float | None
    style_taken_out: bool
    weak: dict[str, float | None]
    values: int
    word: str
    word_share: float | None
    unscored: float | None


@dataclass(frozen=True)
class Verdict:
    """`headline`: one sentence; `because`: what it rests on; `cautions`: what stands against the graph, and
    `needs`: what would be needed to know more. Sentences."""

    level: Level
    headline: str
    because: tuple[str, ...]
    cautions: tuple[str, ...]
    needs: tuple[str, ...]


def judge(evidence: GraphEvidence, algorithm: str | None, answering: Answering | None = None) -> Verdict:
    """The verdict on the graph that `algorithm` found with the settings that are its defaults or others; what
    is said of its accuracy is of the defaults (discovery.verdict.accuracy). `algorithm` is None where a graph
    rests on more than roles' scores, as with experiments, of which nothing was simulated."""
    accuracy = None if algorithm is None else expected_accuracy(algorithm, evidence.values, evidence.roles)
    level = _level(evidence)
    useful = level in (Level.GRAPH, Level.LINES)
    because = [*_against_chance(evidence)]
    if useful and accuracy is not None:
        because.append(_accuracy(evidence, accuracy))
    cautions = [*_scores(evidence), *([] if answering is None else _answers(answering))]
    if useful and accuracy is not None and accuracy.recall < LOW_RECALL:
        cautions.append(
            f"About {_percent(1 - accuracy.recall)} of the true edges are missing at this size: that two "
            "values are not joined says little."
        )
    needs = tuple(_needs(evidence, algorithm, accuracy))
    return Verdict(level, _headline(level, evidence), tuple(because), tuple(cautions), needs)


def _level(evidence: GraphEvidence) -> Level:
    if evidence.p is None:
        return Level.UNKNOWN
    if evidence.p > LEVEL:
        return Level.NOTHING
    if evidence.edges == 0:
        return Level.UNSETTLED
    return Level.GRAPH if evidence.arrows else Level.LINES


def _headline(level: Level, evidence: GraphEvidence) -> str:
    edges = _count(evidence.edges, "edge")
    return {
        Level.GRAPH: f"A graph of {edges}, {evidence.arrows} with a direction.",
        Level.LINES: f"A graph of {edges}, none with a direction.",
        Level.UNSETTLED: "The values are related, but not one edge holds in enough of the replicates.",
        Level.NOTHING: "No graph was found: the answers show no more than chance makes."
        if evidence.gain is not None
        else "No graph was found: the answers show no more edges than chance makes.",
        Level.UNKNOWN: f"A graph of {edges}; whether they are more than chance makes was not tested.",
    }[level]


def _against_chance(evidence: GraphEvidence) -> Iterator[str]:
    if evidence.p_permuted is not None and evidence.gain is not None:
        yield (
            f"One search on all {evidence.roles} roles and all experiments finds "
            f"{_count(evidence.edges_all_roles, 'edge')}, which explain {evidence.gain:.0f} (twice the log "
            f"likelihood, less what edges cost); where the scores and effects of every value are shuffled, "
            f"{evidence.null_gain:.0f} on average (p {evidence.p_permuted:.3f})."
        )
    elif evidence.p_permuted is not None:
        yield (
            f"One search on all {evidence.roles} roles finds {_count(evidence.edges_all_roles, 'edge')}; "
            f"where every value's scores are shuffled between roles, {evidence.null_edges:.1f} on average (p "
            f"{evidence.p_permuted:.3f})."
        )
    if evidence.p_flipped is not None and evidence.p_flipped > LEVEL >= (evidence.p_permuted or 0):
        yield (
            f"Where every role keeps how extreme it answers and only the signs are drawn by chance, "
            f"{evidence.flipped_edges:.1f} (p {evidence.p_flipped:.3f}): extreme roles alone make as many."
        )


def _accuracy(evidence: GraphEvidence, accuracy: Accuracy) -> str:
    head = f"In planted graphs of {accuracy.values} values asked of {accuracy.roles} roles"
    found = f"{_percent(accuracy.recall)} of the true edges were found"
    if accuracy.right is None or accuracy.reversed is None or accuracy.none is None:
        return (
            f"{head} {found}, and too few arrows were in {_percent(FREQUENT)} of the replicates to say how "
            f"often such ones are right. Here there are {evidence.frequent_arrows}."
        )
    return (
        f"{head}, of the arrows in {_percent(FREQUENT)} of the replicates or more {_percent(accuracy.right)} "
        f"pointed the right way, {_percent(accuracy.reversed)} the wrong way and {_percent(accuracy.none)} "
        f"joined what nothing joins; {found}. Here {evidence.frequent_arrows} arrows are as frequent."
    )


def _scores(evidence: GraphEvidence) -> Iterator[str]:
    excess = evidence.co_kurtosis
    if excess is not None and excess > EXTREMITY:
        yield (
            f"Some roles answer everything more extremely than others (co-kurtosis {excess:.1f}): "
            f"correlations of unrelated values scatter as with {evidence.roles / (1 + excess):.0f} roles, "
            f"while the search counts {evidence.roles}."
        )


def _answers(answering: Answering) -> Iterator[str]:
    if answering.word_share is not None and answering.word_share >= ONE_WORD:
        yield (
            f"{_percent(answering.word_share)} of the answers are “{answering.word}”: the model hardly "
            "tells one question from another."
        )
    if answering.unscored is not None and answering.unscored > 0.2:
        yield f"{_percent(answering.unscored)} of the answers have no score (refused, unparsed, unfinished)."
    if answering.style_share is not None and answering.style_share >= STYLE:
        where = "it is taken out of" if answering.style_taken_out else "it is still in"
        yield (
            f"{_percent(answering.style_share)} of the variance of roles' plain scores is saying yes "
            f"whatever is asked; {where} the scores behind this graph."
        )
    if answering.weak:
        named = [
            f"{name} ({'undefined' if alpha is None else f'{alpha:.2f}'})"
            for name, alpha in list(answering.weak.items())[:5]
        ]
        rest = f" and {len(answering.weak) - 5} more" if len(answering.weak) > 5 else ""
        yield (
            f"{len(answering.weak)} of {answering.values} values are measured with more error than signal "
            f"(alpha below {WEAK_ALPHA:g}): {', '.join(named)}{rest}."
        )


def _needs(evidence: GraphEvidence, algorithm: str | None, accuracy: Accuracy | None) -> Iterator[str]:
    if algorithm is None:
        yield "How often such edges are right was not simulated for graphs made with experiments."
        return
    if accuracy is None:
        yield (
            "How often such edges are right was not simulated for this algorithm and size: `axiograph "
            "calibrate` does it for a study."
        )
        return
    recall, right = _WANTED
    reached = round(accuracy.recall, 2) >= recall and round(accuracy.right or 0.0, 2) >= right  # as printed
    if reached:
        return
    goal = f"{_percent(recall)} of the true edges, {_percent(right)} of frequent arrows the right way"
    roles = roles_needed(algorithm, evidence.values, recall, right)
    if roles is None:
        yield f"For {goal} more roles than 400 are needed, or better measured values."
    else:
        yield f"For {goal} about {roles} roles are needed, answered as clearly as in the simulation."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
