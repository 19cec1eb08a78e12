"""Provenance: study, versions, hashes, seeds, counts, durations, and how to cite."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import polars as pl

from axiograph.cluster.sampling.progress import duration
from axiograph.engine.runs.run_dir import RunDir
from axiograph.engine.runs.store import FAILED
from axiograph.report.artefacts import Artefacts
from axiograph.report.blocks.numbers import count
from axiograph.report.blocks.section import Code, Facts, Heading, Section
from axiograph.report.blocks.table import Column, Table

PAPERS = """@inproceedings{kang2025values,
  title = {Are the Values of {LLM}s Structurally Aligned with Humans? A Causal Perspective},
  author = {Kang, Yipeng and Wang, Junqi and Li, Yexin and Wang, Mengmeng and
            Tu, Wenming and Wang, Quansen and
            Li, Hengli and Wu, Tingjun and Feng, Xue and Zhong, Fangwei and Zheng, Zilong},
  booktitle = {Findings of the Association for Computational Linguistics: ACL 2025},
  year = {2025},
  pages = {23147--23161},
  doi = {10.18653/v1/2025.findings-acl.1188}
}

@inproceedings{ren2024valuebench,
  title = {{ValueBench}: Towards Comprehensively Evaluating Value Orientations and Understanding of Large
           Language Models},
  author = {Ren, Yuanyi and Ye, Haoran and Fang, Hanjun and Zhang, Xin and Song, Guojie},
  booktitle = {Proceedings of the 62nd Annual Meeting of the Association for Computational Linguistics (ACL)},
  year = {2024},
  note = {arXiv:2406.04214}
}
"""


def provenance_section(artefacts: Artefacts) -> Section:
    """Everything that is needed to say where a number came from."""
    section = Section("provenance", "Provenance")
    manifest = artefacts.manifest
    if artefacts.run is not None:
        section.add(Facts(_run_facts(artefacts.run, manifest)), _workers(artefacts.run))
        section.add(
            Code(
                "Hashes of model, prompt, directions and every steering condition",
                _json(manifest["identity"]),
            )
        )
        section.add(Code("The study, as it was run", _json(manifest["study"])))
    if artefacts.discovery is not None and artefacts.discovery.settings:
        section.add(Code("The discovery: settings, counts, exclusions", _json(artefacts.discovery.settings)))
    for name, against in (("effects", None), ("effects against the reference graph", "reference")):
        settings = artefacts.effects_settings(against)
        if settings:
            section.add(Code(f"The {name}: settings", _json(settings)))
    if artefacts.replication is not None:
        section.add(Facts(_replication_facts(artefacts.replication.document)))
    section.add(Heading("How to cite"), Code("BibTeX", _bibtex(manifest), open=True))
    return section


def _run_facts(run: RunDir, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    stored = run.store().count()
    starts = manifest.get("starts", [])
    model = manifest["model"]
    return [
        ("Study", manifest["study"].get("name") or ""),
        (
            "Model",
            ", ".join(str(part) for part in (model["name"], model["revision"], model["dtype"]) if part),
        ),
        (
            "Started",
            f"{manifest['created']}; last {manifest['updated']}; {len(starts)} "
            f"{'start' if len(starts) == 1 else 'starts'} on "
            f"{', '.join(_unique(s.get('host', '') for s in starts))}",
        ),
        (
            "Requests",
            f"{count(manifest['requests'])} planned, {count(stored.rows - stored.duplicates)} "
            f"answered, {count(stored.duplicates)} stored twice, in {count(stored.parts)} "
            f"{'part' if stored.parts == 1 else 'parts'}",
        ),
        *_server_facts(run, manifest),
        ("Seeds", _listed(manifest["seeds"])),
        ("Versions", _listed(manifest["versions"])),
    ]


def _server_facts(run: RunDir, manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """What a server says that it is, and what nobody promises of it."""
    spec = manifest["study"]["model"]
    if spec.get("backend") != "openai":
        return []
    said = _listed(manifest["model"].get("said", {})) or "nothing"
    facts = [
        (
            "Server",
            f"{spec['url']}, which says of the model: {said}. What stands behind the name is the server's "
            "affair: number type, hardware and version are not known, and no answer is promised to come out "
            "the same again, not even a greedy one.",
        )
    ]
    if prices := spec.get("prices"):
        facts.append(("Cost", _cost(run, prices)))
    return facts


def _cost(run: RunDir, prices: dict[str, float]) -> str:
    tokens = pl.col("prompt_tokens", "new_tokens").cast(pl.Int64)
    uncounted = (pl.col("prompt_tokens").is_null() | pl.col("new_tokens").is_null()).sum().alias("uncounted")
    answered = run.store().scan().filter(pl.col("finish").cast(pl.String) != FAILED)
    read, written, without = answered.select(tokens.sum(), uncounted).collect(engine="streaming").row(0)
    cost = (read * prices["input"] + written * prices["output"]) / 1e6
    if without:
        return f"at least {cost:,.2f}: the server counted no tokens of {count(without)} stored answers"
    return f"{cost:,.2f} for the stored answers, by the server's counts of tokens"


def _known_sum(column: str) -> pl.Expr:
    """Null where nothing is known: not every server counts tokens."""
    return pl.when(pl.col(column).count() > 0).then(pl.col(column).cast(pl.Int64).sum())


def _workers(run: RunDir) -> Table:
    """Answers and time by who gave them; a batch's time is shared out over its rows."""
    by = ["backend", "device", "dtype", "versions"]
    table = (
        run.store()
        .scan()
        .group_by(by)
        .agg(
            answers=pl.len(),
            seconds=pl.col("seconds").cast(pl.Float64).sum(),
            tokens=_known_sum("new_tokens"),
            prompt=_known_sum("prompt_tokens"),
            proof=pl.col("proof_error").max(),
        )
        .with_columns(pl.col(by).cast(pl.String))
        .sort(by)
        .collect(engine="streaming")
    )
    rows = [
        [
            r["backend"],
            r["device"],
            r["dtype"],
            r["versions"],
            r["answers"],
            duration(r["seconds"]),
            r["prompt"],
            r["tokens"],
            "" if r["proof"] is None else f"{r['proof']:.2g}",
        ]
        for r in table.iter_rows(named=True)
    ]
    columns = (
        Column("backend"),
        Column("device"),
        Column("dtype"),
        Column("versions"),
        Column("answers", "count"),
        Column("worker time"),
        Column("prompt tokens", "count"),
        Column("new tokens", "count"),
        Column("largest proof error", note="steering: observed against expected change of the stream"),
    )
    return Table(
        "workers",
        "Who answered, how long it took, and how exactly the steering was as its label says.",
        columns,
        rows,
    )


def _replication_facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("Published answers", document["directory"]),
        ("Features", ", ".join(map(str, document["features"]))),
        ("Role of Table 2 by features", document["role"]),
        ("Versions", _listed(document["versions"])),
        *(("Note", note) for note in document["notes"]),
    ]


def _bibtex(manifest: dict[str, Any]) -> str:
    version = manifest.get("versions", {}).get("axiograph")
    about = (
        "@software{axiograph,\n  title = {axiograph: causal graphs between the values of "
        "language models},\n  author = {{The axiograph developers}},\n  version = "
        f"{{{version or 'see above'}}},\n  year = {{2026}}\n}}\n"
    )
    return f"{about}\n{PAPERS}"


def _json(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False)


def _listed(data: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in data.items())


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
