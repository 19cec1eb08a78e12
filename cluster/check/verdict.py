"""What the findings of a pilot mean for a study: what stands against it, and what could be changed.

`hopeless` is kept for what no number of requests would mend: answers that cannot be read, one and the same
answer to everything, and roles that do not differ. The last is said only where the pilot could have seen it:
the interval of the intraclass correlation ends below what would make the study's own means reliable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from axiograph.cluster.check.findings import Findings, Share
from axiograph.engine.answers.parsing import MASS_THRESHOLD
from axiograph.engine.plan.inputs import Inputs

ENOUGH_ANSWERS = 40  # below, shares say too little to stop a run
USABLE = 0.5  # of the answers, that must be readable
GOOD_USABLE = 0.9
ONE_SIDED = 0.02  # a share of yes, or of no, that is none
LOPSIDED = 0.1
MANY = 0.1  # a share that is worth a sentence
RELIABLE = 0.3  # of a study's means over a value's items: below, hardly anything is left to correlate
WELL_RELIABLE = 0.7
ALPHA = 0.05


@dataclass(frozen=True)
class Concern:
    """`hopeless`: a sweep would teach nothing. `remedy`: "" where there is none to name."""

    text: str
    remedy: str = ""
    hopeless: bool = False


@dataclass(frozen=True)
class Verdict:
    """`reliability`: what the pilot foretells for the study's mean of a value, with its interval; None where
    roles could not be compared. `items`: of a value, on average, that a role of the study is asked."""

    concerns: tuple[Concern, ...]
    items: float
    reliability: tuple[float, float, float] | None

    @property
    def hopeless(self) -> bool:
        return any(concern.hopeless for concern in self.concerns)

    @property
    def good(self) -> bool:
        return not self.concerns


def judge(findings: Findings, inputs: Inputs) -> Verdict:
    """Whether this model answers this questionnaire as the study asks it."""
    items = items_asked(inputs)
    concerns = [
        *_readable(findings, inputs),
        *_thinking(findings, inputs),
        *_sides(findings),
        *_one_option(findings),
        *_mass(findings),
        *_roles(findings, items),
        *_thoughts(findings),
    ]
    differences, reliability = findings.differences, None
    if differences is not None:
        low, high = (
            differences.reliability(items, icc) for icc in (differences.icc_low, differences.icc_high)
        )
        reliability = differences.reliability(items), low, high
    return Verdict(tuple(concerns), items, reliability)


def items_asked(inputs: Inputs) -> float:
    """Of a value, on average, that a role is asked."""
    role = inputs.roles[0]
    asked = inputs.items_for(role)
    return len(asked) / max(1, len({item.value for item in asked}))


def _readable(findings: Findings, inputs: Inputs) -> list[Concern]:
    concerns = []
    usable = findings.usable
    if usable.of and usable.interval[1] < USABLE:
        text = f"only {usable.percent} of the answers can be read (an answer or unsure)"
        enough = usable.of >= ENOUGH_ANSWERS
        concerns.append(Concern(text, _form_remedy(findings, inputs), hopeless=enough))
    elif usable.of and (usable.value or 0) < GOOD_USABLE:
        text = f"{Share(usable.of - usable.count, usable.of).percent} of the answers cannot be read"
        concerns.append(Concern(text, _form_remedy(findings, inputs)))
    if (findings.cut.value or 0) > MANY:
        concerns.append(
            Concern(
                f"{findings.cut.percent} of the answers reach the limit of "
                f"{inputs.study.sampling.max_tokens} tokens",
                "Raise sampling.max_tokens, or ask for a shorter thought.",
            )
        )
    return concerns


def _thinking(findings: Findings, inputs: Inputs) -> list[Concern]:
    concerns = []
    tag, seen = findings.tag
    if seen.count:
        concerns.append(
            Concern(
                f"{seen.count} of {seen.of} texts hold the tag of a thought ({tag}), and what the model "
                "thinks is read as its answer",
                "Set 'prompt: {thinking: on}' and 'sampling: {max_thought_tokens: …}', or switch thinking "
                "off in the chat template ('prompt: {chat_arguments: {enable_thinking: false}}' for many "
                "models).",
            )
        )
    if (findings.unfinished.value or 0) > MANY:
        concerns.append(
            Concern(
                f"{findings.unfinished.percent} of the thoughts come to no end within "
                f"{inputs.study.sampling.max_thought_tokens} tokens: these answers are missing, and "
                "perhaps not at random",
                "Raise sampling.max_thought_tokens.",
            )
        )
    return concerns


def _form_remedy(findings: Findings, inputs: Inputs) -> str:
    on_scale = any(item.scale is not None for item in inputs.items_for(inputs.roles[0]))
    asked = "an option" if on_scale else "yes or no"
    if findings.mode == "logprob":
        return f"Try another prompt.answer_cue, or a template that asks for {asked}."
    chat = (
        "" if inputs.template.chat else "'template: chat, chat: true' where the model has a chat template; "
    )
    read = "probabilities of the options" if on_scale else "odds of yes and no"
    return f"Try {chat}'scoring: {{mode: logprob}}', which reads the {read} instead of a text."


def _one_option(findings: Findings) -> list[Concern]:
    label, share = findings.top_option
    if not share.of or findings.mode == "logprob" or 1 - (share.value or 0.0) > LOPSIDED:
        return []
    text = f"{share.percent} of the answers are '{label}'"
    hopeless = 1 - (share.value or 0.0) <= ONE_SIDED and share.of >= ENOUGH_ANSWERS
    remedy = (
        "Read the probabilities of the options instead ('scoring: {mode: logprob}'), or show them otherwise "
        "('answers: {show: …, order: …}')."
    )
    return [Concern(text, remedy, hopeless=hopeless)]


def _sides(findings: Findings) -> list[Concern]:
    yes = findings.yes
    if not yes.of:
        return []
    share = yes.value or 0.0
    side, rare = ("no", share) if share < 0.5 else ("yes", 1 - share)
    other = "yes" if side == "no" else "no"
    if findings.mode == "logprob":
        # Odds are graded where the sign is not.
        return []
    if rare <= ONE_SIDED:
        return [
            Concern(
                f"it says {side} to nearly everything ({yes.percent} yes)",
                "Read the odds instead ('scoring: {mode: logprob}'), or balance the worked examples of the "
                f"template; a text that says {side} to all items measures style.",
                hopeless=yes.of >= ENOUGH_ANSWERS,
            )
        ]
    if rare <= LOPSIDED:
        return [
            Concern(
                f"{yes.percent} of the answers are yes",
                f"Few items ever get a {other}: 'scoring: {{mode: logprob}}' is graded, and so are answers "
                "on a scale (`scale` in the item file); a yes or no is not.",
            )
        ]
    return []


def _mass(findings: Findings) -> list[Concern]:
    concerns = []
    if findings.mass is not None and findings.mass < MASS_THRESHOLD:
        concerns.append(
            Concern(
                f"the options have a probability of {findings.mass:.2f} together, in the median",
                "The prompt leads to other words: look at prompt.answer_cue and at the template's end.",
            )
        )
    if (findings.fallback.value or 0) > MANY:
        concerns.append(
            Concern(
                f"{findings.fallback.percent} of the answers could only be read behind a thought, and "
                "count as plain yes or no",
                "Two kinds of scores in one profile: mend the cue, or take 'scoring: {mode: generate}'.",
            )
        )
    return concerns


def _roles(findings: Findings, items: float) -> list[Concern]:
    differences = findings.differences
    if differences is None:
        return []
    best = differences.reliability(items, differences.icc_high)
    likely = differences.reliability(items)
    if differences.p > ALPHA and best < RELIABLE:
        return [
            Concern(
                f"roles do not differ in their values (p = {differences.p:.2g}): a mean of {items:.0f} items "
                f"would have a reliability of {likely:.2f}, and hardly above {best:.2f}",
                "The model does not play these roles: write them more sharply, put them nearer to the "
                "question, or take a larger model.",
                hopeless=findings.usable.of >= ENOUGH_ANSWERS,
            )
        ]
    if differences.p > ALPHA:
        return [
            Concern(
                f"no difference between roles is seen yet (p = {differences.p:.2g}, reliability of the "
                f"study's means {likely:.2f}, perhaps {best:.2f})",
                "Ask a larger pilot (--requests), or write roles that differ more.",
            )
        ]
    if likely < WELL_RELIABLE:
        return [
            Concern(
                f"the study's means over {items:.0f} items would have a reliability of {likely:.2f}",
                f"For {WELL_RELIABLE} ask {_needed(differences.icc)} items of a value, or more repeats.",
            )
        ]
    return []


def _needed(icc: float) -> str:
    """Items for WELL_RELIABLE, by Spearman–Brown."""
    if icc <= 0:
        return "many more"
    return f"{int(np.ceil(WELL_RELIABLE * (1 - icc) / (icc * (1 - WELL_RELIABLE)))):,}"


def _thoughts(findings: Findings) -> list[Concern]:
    against = findings.contradictions
    if against.of and (against.value or 0) > MANY and against.count >= 3:
        return [
            Concern(
                f"{against.count} of {against.of} thoughts that say yes or no go against their answer",
                "What is scored is the answer: read some with `axiograph show` before you trust it.",
            )
        ]
    return []
