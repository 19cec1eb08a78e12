"""What a run prints: what was sampled, scored, estimated, its status, and what submitting it says."""

from __future__ import annotations

import polars as pl

from axiograph.cluster.ray.submission import Submitted
from axiograph.cluster.sampling.estimate import CHARACTERS, TOKEN_SAMPLE, Estimate, ServerCost
from axiograph.cluster.sampling.inspection import ResponseDetail, Status
from axiograph.cluster.sampling.loop import Sampled
from axiograph.cluster.sampling.progress import duration
from axiograph.cluster.stages.item_verdict import against_verdict, weak_verdict
from axiograph.cluster.stages.score import Coverage, Scored
from axiograph.engine.scoring.profiles import shown_states
from axiograph.engine.study.roles import shown
from axiograph.texts.plain import SHOWN_ROWS, more, number, percent, size, table
from axiograph.texts.style import style_text


def sampled_text(result: Sampled) -> str:
    failed = ""
    if result.failed:
        failed = (
            f"\nNote: {result.failed:,} stored rows are no answers but the reason why there is none "
            "(`axiograph show DIR --state unparsed` lists them). Once the cause is removed, `axiograph run "
            "STUDY --retry-failed` asks them again."
        )
    if not result.answered:
        return f"All {result.planned:,} requests were asked before; nothing was asked.{failed}"
    before = f", {result.already:,} were there" if result.already else ""
    rate = result.answered / max(result.seconds, 1e-9)
    return f"{result.answered:,} answers in {duration(result.seconds)} ({rate:.0f}/s){before}.{failed}"


def coverage_text(coverage: Coverage) -> str:
    """For a person who reads numbers of a part."""
    return (
        f"{coverage.stored:,} of {coverage.planned:,} requests are answered. What follows is of the "
        f"{coverage.complete:,} of {coverage.cells:,} pairs of role and condition that are complete: more "
        "will join them, and may move a little what is taken out of profiles (item means, saying yes)."
    )


def scored_text(result: Scored) -> str:
    """Answers per condition, reliability per value, and what is wrong with the questionnaire."""
    states = shown_states(result.rates)
    rates = [
        [row["condition"], f"{row['answered']:,}", *(percent(row[f"{state}_rate"]) for state in states)]
        for row in result.rates.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    alphas = [
        [
            row["value"],
            number(row["alpha"]),
            "-" if row["low"] is None else f"[{row['low']:.2f}, {row['high']:.2f}]",
            number(row["omega"]),
            f"{row['varying']} of {row['items']}",
            str(row["roles"]),
            row["reason"] or "",
        ]
        for row in result.reliability.iter_rows(named=True)
    ]
    parts = [
        table(["condition", "answers", *states], rates) + more(result.rates.height),
        table(["value", "alpha", "interval", "omega", "items that vary", "roles", ""], alphas),
        style_text(result),
    ]
    parts[2:2] = [text] if (text := psychometrics_text(result)) else []
    verdicts = against_verdict(result.item_rest), weak_verdict(result.reliability)
    notes = [f"Warning: {verdict}" for verdict in verdicts if verdict is not None]
    if result.one_way_keyed:
        notes.append(
            f"{len(result.one_way_keyed)} values have no reverse-keyed item, so that saying yes to all "
            f"looks like holding them: {', '.join(result.one_way_keyed)}."
        )
    if result.shared:
        notes.append(f"{result.shared} texts serve several values (scores/questionnaire.json lists them).")
    if result.constant_items.height:
        count = result.constant_items.height
        items = "1 item was" if count == 1 else f"{count} items were"
        notes.append(f"{items} answered alike by every role.")
    return "\n\n".join([*parts, *(["\n".join(notes)] if notes else [])])


def psychometrics_text(result: Scored) -> str:
    """A line each of correlations, factors and norms; "" where there is none of them."""
    lines = []
    pairs = result.correlations.drop_nulls(["r", "low", "high"])
    if pairs.height:
        r = pairs.sort(pl.col("r").abs(), descending=True).row(0, named=True)
        strongest = f"{_short(r['a'])} – {_short(r['b'])}"
        interval = f"{r['r']:+.2f} [{r['low']:.2f}, {r['high']:.2f}]"
        lines.append(f"Strongest of {pairs.height:,} pairs: {strongest} {interval}")
    factors = result.factors
    if factors.kept is None:
        lines.append(f"Factors: not known, {factors.reason}")
    else:
        whole = (factors.values["share"] == 1).sum()
        on_one = f"; {whole} of {factors.values.height} values on one with all items" if factors.kept else ""
        kept = f"{factors.kept} in {factors.items:,} items, {factors.roles:,} roles"
        lines.append(f"Factors: {kept}{on_one}")
    known = result.norms.drop_nulls("difference")
    if known.height:
        low, high = known.select(low=pl.col("difference").min(), high=pl.col("difference").max()).row(0)
        between = f"{low:+.2f} SD" if known.height == 1 else f"{low:+.2f} to {high:+.2f} SD"
        norms = "1 norm" if known.height == 1 else f"{known.height} norms"
        lines.append(f"Norms: roles lie {between} from people's means ({norms})")
    return "\n".join(lines)


def _short(name: str) -> str:
    return name if len(name) <= 15 else f"{name[:14]}…"


def estimate_text(estimate: Estimate, free: int | None, out: str) -> str:
    """What a study would cost, for a person who decides whether to start it."""
    about = "" if estimate.left <= TOKEN_SAMPLE else "about "
    lines = [
        f"{estimate.roles:,} roles, {estimate.conditions:,} conditions, {estimate.items:,} items, "
        f"{estimate.repeats:,} {'repeat' if estimate.repeats == 1 else 'repeats'}",
        f"requests        {estimate.requests:,}"
        + (
            f" (for {estimate.rows:,} plan rows: equal items are asked once)"
            if estimate.rows > estimate.requests
            else ""
        ),
    ]
    if estimate.left < estimate.requests:
        stored = estimate.requests - estimate.left
        lines.append(f"stored          {stored:,}; {estimate.left:,} are left to ask, which follows:")
    if estimate.server is None:
        lines.append(f"prompt tokens   {about}{estimate.prompt_tokens:,}")
    else:
        lines += _server_lines(estimate, estimate.server)
    if estimate.orphans:
        lines.append(
            f"The run holds {estimate.orphans:,} answers that this study does not ask for: `axiograph run` "
            "would refuse it, and say what changed."
        )
    if estimate.timings:
        where = f", at {out}" if free is None else f"; {size(free)} free at {out}"
        lines += [f"disk            at most {size(estimate.bytes_on_disk)}{where}", *_time_lines(estimate)]
        if free is not None and estimate.bytes_on_disk > free:
            lines.append("The disk is too small for the answers.")
    return "\n".join(lines)


def _server_lines(estimate: Estimate, server: ServerCost) -> list[str]:
    lines = [
        f"prompt tokens   roughly {estimate.prompt_tokens:,}: characters / {CHARACTERS}, since the "
        "tokenizer is the server's",
        f"answer tokens   at most {server.new_tokens:,}: sampling.max_tokens each"
        + (", and max_thought_tokens" if server.thinks else ""),
    ]
    if server.prices is not None:
        lines.append(
            f"cost            roughly {server.cost:,.2f} at most, at {server.prices.input:g} a million "
            f"tokens read and {server.prices.output:g} written"
        )
    else:
        lines.append("cost            not known: the study gives no model.prices")
    lines.append(f"time            not measured, since answers are paid for; {server.concurrency} at once")
    return lines


def _time_lines(estimate: Estimate) -> list[str]:
    """Hours of asking, and for each kind of workers what they were made from."""
    if all(timing.blocks for timing in estimate.timings):
        total = f"about {_within(estimate.seconds, estimate.error_s)}"
    else:
        total = f"at most {duration(estimate.seconds)}"
    lines = [f"time            {total} to ask here, starts included"]
    for timing in estimate.timings:
        rate = f"{timing.requests / timing.seconds:.3g}/s, a start of {duration(timing.start_s)}"
        sample = (
            f"{timing.answered:,} answered now in {timing.blocks} whole blocks of neighbours"
            if timing.blocks
            else f"{timing.answered:,} answered now, too slow for a block: --calibrate SECONDS takes longer"
        )
        lines.append(f"  on {timing.backend:<11} {timing.requests:,} requests, {rate}; by {sample}")
    if estimate.error_s is None and all(timing.blocks for timing in estimate.timings):
        lines.append("  The blocks are too few to say how exact that is: expect a factor of two.")
    return lines


def _within(seconds: float, error: float | None) -> str:
    return duration(seconds) + ("" if not error else f" ± {100 * error / seconds:.0f} %")


def status_text(status: Status) -> str:
    rows = [
        [
            row["condition"],
            f"{row['stored']:,}",
            f"{row['planned']:,}",
            percent(row["stored"] / row["planned"]),
        ]
        for row in status.conditions.head(SHOWN_ROWS).iter_rows(named=True)
    ]
    share = percent(status.stored / status.planned)
    duplicates = f", {status.duplicates:,} of them twice" if status.duplicates else ""
    return (
        f"{status.stored:,} of {status.planned:,} requests answered ({share}), "
        f"in {status.parts} parts{duplicates}; last started {status.updated}\n\n"
        + table(["condition", "answered", "planned", ""], rows)
        + more(status.conditions.height)
    )


def responses_text(responses: pl.DataFrame) -> str:
    if responses.is_empty():
        return "No such response."
    rows = [
        [
            row["id"][:12],
            row["state"],
            row["condition"],
            row["item_id"],
            shown(row["role"]),
            repr(row["text"])[:80],
        ]
        for row in responses.iter_rows(named=True)
    ]
    return table(["id", "state", "condition", "item", "role", "raw answer"], rows)


def response_text(response: ResponseDetail) -> str:
    """One response in full: exact prompt, tokens with the span in brackets, steering, raw answer."""
    row, item = response.row, response.item
    span = set(response.span)
    shown_tokens = [token.replace("\n", "⏎") for token in response.tokens]
    marked = [f"[{token}]" if i in span else token for i, token in enumerate(shown_tokens)]
    answer = ""
    if not response.is_scored:
        written = "not counted" if row["new_tokens"] is None else f"{row['new_tokens']} tokens"
        answer = f"\nanswer ({written}, {row['finish']})\n{row['text']}\n"
    odds = "" if row["log_odds"] is None else f"\nlog-odds   {row['log_odds']:.4f} (mass {row['mass']:.4f})"
    tokens = "tokens: the server's, not known here\n"
    if response.ids:
        tokens = (
            f"tokens ({len(response.ids)}; the span in brackets)\n{' '.join(map(str, response.ids))}\n"
            f"{'|'.join(marked)}\n"
        )
    steering = "none"
    if row["proof_error"] is not None:
        steering = f"{row['steered_tokens']} prompt tokens, largest error {row['proof_error']:.2g}"
    return (
        f"id         {row['request_id'].hex()}\n"
        f"role       {shown(row['role'])}\ncondition  {row['condition']}\n"
        f"item       {row['item_id']} ({item.value}, agreement {item.agreement:+d}), repeat {row['repeat']}\n"
        f"state      {row['state']} ({row['reason']}), mode {row['mode']}"
        f"{', read after a generated thought' if row['fallback'] else ''}{odds}\n"
        f"steering   {steering}\n"
        f"worker     {row['backend']}, {row['device']}, {row['dtype']}, {row['versions']}\n"
        f"\nprompt\n{response.text}\n"
        f"\n{tokens}{answer}"
    )


def job_text(job: Submitted) -> str:
    """For the person who submitted it: what travelled, and how to come back."""
    at = f"--address {job.address}"
    left = [f"Not packed, must lie at the same path on the cluster: {path}" for path in job.bundle.left]
    return "\n".join(
        [
            f"Job {job.job} runs on {job.address}; {job.bundle.files} files of the study and the code "
            f"were packed ({job.size / 1e6:.1f} MB).",
            *left,
            f"The run goes to {job.out}, as the cluster sees it.",
            f"  axiograph submit {at} --attach {job.job}   follow it again",
            f"  axiograph submit {at} --stop {job.job}     stop it; submitted again, it continues",
            f"  axiograph status {job.out}",
        ]
    )
