"""What `axiograph check` prints: whether the model answers the questionnaire, and what else to try."""

from __future__ import annotations

import textwrap

from axiograph.cluster.check.asking import Alternative, Check, Rounding
from axiograph.cluster.check.findings import Findings, Share
from axiograph.cluster.check.verdict import ALPHA, Verdict
from axiograph.cluster.sampling.progress import duration
from axiograph.engine.answers.parsing import UNFINISHED
from axiograph.texts.plain import WIDTH, filled, number, table

_TEXT = 60


A_NIGHT_S = 12 * 3600.0


def check_text(check: Check) -> str:
    """Findings, verdict, other ways of asking, time."""
    pilot, rows = check.pilot, check.rows
    head = (
        f"Pilot: {pilot.frame.height} requests under the baseline, {len(rows.items)} roles, "
        f"{pilot.findings.mode} mode, {pilot.backend}, {check.prepared.source.dtype}"
    )
    parts = [head, pilot_text(pilot.findings, pilot.verdict)]
    if check.rounding is not None:
        parts.append(_rounding(check.rounding))
    if check.alternatives:
        parts.append(_alternatives(check))
    parts.append(
        filled(
            f"The whole study asks {check.requests:,} requests: about {duration(check.seconds)} at this pace "
            "with one worker on this machine (`axiograph plan` measures it better)." + _less(check.seconds)
        )
    )
    return "\n\n".join(parts)


def _less(seconds: float) -> str:
    """What would make a study shorter that takes more than a night."""
    if seconds < A_NIGHT_S:
        return ""
    return (
        " With `sampling: {share: 0.5}` every role is asked half of the items of every value, balanced over "
        "roles, in half of the time; items and roles that are added later are asked alone."
    )


def pilot_text(findings: Findings, verdict: Verdict) -> str:
    """What the answers of a pilot show, and what it means."""
    return f"{_findings(findings, verdict)}\n\n{_verdict(verdict)}"


def _findings(findings: Findings, verdict: Verdict) -> str:
    rows = [("can be read", _share(findings.usable))]
    if findings.mode == "generate":
        states = _states(findings)
        rows += [(f"  {state}", _count(findings.states[state], findings.answers)) for state in states]
        rows += [("reach the limit", _share(findings.cut))]
        if findings.contradictions.of:
            against = findings.contradictions
            rows += [("thought goes against the answer", f"{against.count} of {against.of} thoughts")]
    else:
        rows += [
            *([("yes more likely than no", _share(findings.yes))] if findings.yes.of else []),
            ("probability of all options, median", number(findings.mass)),
            ("too little of it", _share(findings.low_mass)),
            ("read behind a thought", _share(findings.fallback)),
        ]
        if findings.spread is not None:
            rows.append(("log-odds, standard deviation", number(findings.spread)))
    if findings.unfinished.of:
        rows.append(("thought without an end", _share(findings.unfinished)))
    label, top = findings.top_option
    if top.of:
        rows.append((f"most often '{label}'", _share(top)))
    if findings.failed:
        rows.append(("could not be had", f"{findings.failed:,}"))
    if findings.differences is not None and verdict.reliability is not None:
        likely, low, high = verdict.reliability
        rows += [
            ("roles answer alike", f"p = {findings.differences.p:.3f}"),
            (
                "reliability of the study's means",
                f"{likely:.2f} [{low:.2f}, {high:.2f}], {verdict.items:.0f} items a value",
            ),
        ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name.ljust(width)}  {value}" for name, value in rows]
    if findings.unread:
        lines.append("  commonest texts that could not be read:")
        lines += [f"    {count:>4} × {_shown(text)}" for text, count in findings.unread]
    return "\n".join(lines)


def _verdict(verdict: Verdict) -> str:
    if verdict.good:
        return "This model answers this questionnaire, as far as a pilot can tell."
    head = (
        "Nothing can be learned from this model in this way:"
        if verdict.hopeless
        else "It answers, and this stands against it:"
    )
    lines = [head]
    for concern in verdict.concerns:
        text = f"{concern.text}. {concern.remedy}".strip()
        lines.append(textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  "))
    return "\n".join(lines)


def _rounding(rounding: Rounding) -> str:
    n = rounding.answers
    text = (
        f"Of {n} answers {rounding.same_state} have the same state in {rounding.dtype} and in float32, and "
        f"{rounding.same_text} the same text"
    )
    if rounding.median is not None:
        text += f"; log-odds differ by {rounding.median:.3f} in the median, {rounding.largest:.3f} at most"
    return filled(f"{text}. An answer that rounding turns is noise in every score.")


def _alternatives(check: Check) -> str:
    rows = [("as it is", *_way(check.pilot.findings, check.pilot.verdict))]
    rows += [
        (way.label, *_way(way.pilot.findings, way.pilot.verdict))
        for way in check.alternatives
        if way.pilot is not None
    ]
    lines = [
        "Other ways of asking the same:",
        textwrap.indent(table(("", "read", "yes", "reliability", "p of roles"), rows), "  "),
    ]
    lines += [
        textwrap.fill(f"  {way.label}: not possible ({way.obstacle})", WIDTH, subsequent_indent="    ")
        for way in check.alternatives
        if way.pilot is None
    ]
    best = _best(check)
    if best is None:
        lines.append(filled("None of them shows clearly that roles differ, more than the study as it is."))
    else:
        head = f"The most reliable of them ({best.label}) in the study file:"
        lines += [head, textwrap.indent(best.lines, "  ")]
    return "\n".join(lines)


def _best(check: Check) -> Alternative | None:
    """The alternative whose means would be the most reliable, if roles are seen to differ under it and it is
    better than the study as it is."""

    def worth(findings: Findings, verdict: Verdict) -> float:
        seen = findings.differences is not None and findings.differences.p <= ALPHA
        reliable = 0.0 if verdict.reliability is None else verdict.reliability[0]
        return reliable * (findings.usable.value or 0) if seen and not verdict.hopeless else 0.0

    ways = [way for way in check.alternatives if way.pilot is not None]
    best = max(ways, key=lambda way: worth(way.pilot.findings, way.pilot.verdict), default=None)  # type: ignore[union-attr]
    if best is None or best.pilot is None:
        return None
    here = worth(check.pilot.findings, check.pilot.verdict)
    return best if worth(best.pilot.findings, best.pilot.verdict) > here else None


def _way(findings: Findings, verdict: Verdict) -> tuple[str, str, str, str]:
    likely = "-" if verdict.reliability is None else number(verdict.reliability[0])
    p = "-" if findings.differences is None else number(findings.differences.p, ".3f")
    return findings.usable.percent, findings.yes.percent, likely, p


def _states(findings: Findings) -> list[str]:
    """Yes and no, or the options of a scale, and what is neither; thoughts without an end have a line of
    their own."""
    hidden = {UNFINISHED} if findings.states["chosen"] else {UNFINISHED, "chosen"}
    if findings.states["chosen"] and not findings.yes.of:
        hidden |= {"yes", "no"}
    return [state for state in findings.states if state not in hidden]


def _share(share: Share) -> str:
    if not share.of:
        return "-"
    low, high = share.interval
    return f"{share.percent}  [{100 * low:.0f}, {100 * high:.0f}]"


def _count(count: int, of: int) -> str:
    return f"{100 * count / of:.0f} %" if of else "-"


def _shown(text: str) -> str:
    return "(nothing)" if not text else textwrap.shorten(text, _TEXT, placeholder=" …")
